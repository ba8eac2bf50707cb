"""Write a GUID partition table with libparted. A program of its own: it runs in the Python that libparted's
package is made for, not in the builder's.

Its argument is JSON: {"path": the disk's file, "partitions": [{"number", "name", "start", "size", "flag"}]},
start and size in sectors of 512 bytes, flag "", "esp" or "bios_grub". Numbers follow the order of the list.
"""

import json
import sys

import parted

FLAGS = {"esp": parted.PARTITION_ESP, "bios_grub": parted.PARTITION_BIOS_GRUB}


def main() -> None:
    """Make the table, and check that every partition lies where it was asked for."""
    wanted = json.loads(sys.argv[1])
    device = parted.getDevice(wanted["path"])
    disk = parted.freshDisk(device, "gpt")
    for row in wanted["partitions"]:
        place = parted.Geometry(device, row["start"], length=row["size"])
        partition = parted.Partition(disk, parted.PARTITION_NORMAL, geometry=place)
        disk.addPartition(partition, parted.Constraint(exactGeom=place))
        partition.getPedPartition().set_name(row["name"])
        if row["flag"]:
            partition.setFlag(FLAGS[row["flag"]])
        if (partition.number, partition.geometry.start) != (row["number"], row["start"]):
            raise SystemExit(
                f"partition {row['name']} has got number {partition.number}, {partition.geometry}"
            )
    disk.commitToDevice()


if __name__ == "__main__":
    main()
