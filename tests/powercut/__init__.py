"""Power cuts: what is on a disk that loses all, or a part, of what was not flushed.

Two ways, both without root:

- `writelog`: QEMU writes down every request of a run (`Hardware(data=..., data_log=...)`). `Replay` then
  makes the state of the disk after any of them, as a cut at that moment would have left it.
- `volatile`: `VolatileDisk` serves a disk over NBD (`Hardware(data_socket=...)`) whose writes stay in memory
  until they are flushed; `cut()` loses them while the guest runs; the next machine starts from what is left.

`states` looks into such states: e2fsck, debugfs, and the Kubernetes objects in kine's database.
"""
