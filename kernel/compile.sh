#!/bin/sh
# Compiles the kernel in the root that tasks/kernelsource.py has installed: /build/wanted.config is what it must have.
# Leaves vmlinuz, config and usr/lib/modules/ in /build/out. Environment: KBUILD_BUILD_*, JOBS.
set -eu
mkdir /build/linux /build/out
cd /build/linux
tar -xf /usr/src/linux-source-*.tar.xz --strip-components=1
make -s defconfig
scripts/kconfig/merge_config.sh -Q -m .config /build/wanted.config >/dev/null
# What the defaults have as modules is built in, too: once they are all written down.
make -s olddefconfig
make -s mod2yesconfig
if grep '=m$' .config >&2; then
	echo "these are still modules: name them in kernel/source.config" >&2
	exit 1
fi
# Kconfig leaves out in silence what the version does not know, or what depends on something that is off.
absent=$(grep -Fxv -f .config /build/wanted.config | grep '^CONFIG_' || :)
if [ -n "$absent" ]; then
	echo "this kernel does not take from kernel/source.config or kernel/audit.toml:" "$absent" >&2
	exit 1
fi
make -s -j "$JOBS"
make -s modules_install INSTALL_MOD_PATH=/build/out/usr INSTALL_MOD_STRIP=1 DEPMOD=true
rm -f /build/out/usr/lib/modules/*/build /build/out/usr/lib/modules/*/source
cp "$(make -s image_name)" /build/out/vmlinuz
cp .config /build/out/config
