"""Commands of ./doit: each module is one, named after its file (dev_vm.py is `dev-vm`), in a class Plugin."""
