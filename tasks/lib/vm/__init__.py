"""Virtual machines for dev-vm, tests, bench and doctor: QEMU of the tools tree, ended for certain."""
