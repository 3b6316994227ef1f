#!/usr/bin/env bash
# An emulated arm64 device for tests, on an x86-64 Debian 12 host: arm64 Python and TVM's arm64 wheel under qemu-user.
#   emulated_arm64.sh setup                       build the device in $EMU_HOME; no root, nothing installed on the host
#   emulated_arm64.sh serve TRACKER:PORT KEY [CPU]  run the project's server on it, in the foreground
# Afterwards $EMU_HOME/bin/aarch64-link links libraries for it. Its times say nothing about a real device.
set -euo pipefail
EMU_HOME=${EMU_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/ago-explorer/emulated-arm64}   # no spaces or colons
PYTHON=${PYTHON:-python3}
PROJECT=$(cd "$(dirname "$0")/.." && pwd)
ROOT=$EMU_HOME/root
SECONDS_A_STEP=300
DEVICE_PACKAGES="python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 libgcc-s1 libstdc++6 zlib1g
  libexpat1 libffi8 libssl3 libbz2-1.0 liblzma5 libuuid1"
HOST_PACKAGES="qemu-user-static binutils-aarch64-linux-gnu libbinutils libjansson4"
WHEELS="numpy psutil cloudpickle tornado ml_dtypes typing_extensions"   # and TVM's, as requirements.txt pins them

fail() { echo "$1" >&2; exit 1; }

# Packages are fetched with a private state of apt: the host's package database is neither read nor changed.
fetch_packages() {
  local apt=$EMU_HOME/apt
  rm -rf "$apt"; mkdir -p "$apt/lists/partial" "$apt/archives/partial"; : > "$apt/status"
  cat > "$apt/conf" <<EOF
APT::Architecture "amd64"; APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User ""; Acquire::Languages "none"; Acquire::Retries "3";
Dir::State "$apt"; Dir::State::status "$apt/status"; Dir::State::lists "$apt/lists"; Dir::Log "$apt";
Dir::Cache "$apt"; Dir::Cache::archives "$apt/archives"; Dir::Etc::main "/dev/null"; Dir::Etc::parts "/dev/null";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
EOF
  export APT_CONFIG=$apt/conf
  timeout $SECONDS_A_STEP apt-get -qq update || fail "the package lists cannot be fetched"
  (cd "$apt/archives" && timeout $SECONDS_A_STEP apt-get -qq download \
    $(printf '%s:amd64 ' $HOST_PACKAGES) $(printf '%s:arm64 ' $DEVICE_PACKAGES)) || fail "Debian's packages cannot be fetched"
  unset APT_CONFIG
}

# One static emulator, one linker, one arm64 root; no maintainer script is run.
unpack_packages() {
  local archives=$EMU_HOME/apt/archives package
  mkdir -p "$ROOT" "$EMU_HOME/bin"
  dpkg-deb --fsys-tarfile "$archives"/qemu-user-static_*.deb |
    tar -x -C "$EMU_HOME/bin" --strip-components=3 ./usr/bin/qemu-aarch64-static
  for package in binutils-aarch64 libbinutils libjansson4; do
    dpkg-deb --fsys-tarfile "$archives/$package"*.deb |
      tar -x -C "$EMU_HOME" --strip-components=2 --wildcards './usr/lib/x86_64-linux-gnu/*'
  done
  dpkg-deb --fsys-tarfile "$archives"/binutils-aarch64*.deb |
    tar -x -C "$EMU_HOME/bin" --strip-components=3 ./usr/bin/aarch64-linux-gnu-ld.bfd
  for package in "$archives"/*_arm64.deb; do dpkg-deb -x "$package" "$ROOT"; done
}

# The compiler in TVM's wheel (240 MB) is left out, so the device has only the runtime, as a board would.
install_wheels() {
  local tags=() tag
  for tag in 2_28 2_27 2_24 2_17; do tags+=(--platform "manylinux_${tag}_aarch64"); done
  timeout $SECONDS_A_STEP "$PYTHON" -m pip download -q --no-deps --only-binary=:all: --python-version 3.11 \
    -d "$EMU_HOME/wheels" "${tags[@]}" --platform manylinux2014_aarch64 \
    $WHEELS $(grep '^apache-tvm' "$PROJECT/requirements.txt") || fail "the arm64 wheels cannot be fetched"
  "$PYTHON" - "$EMU_HOME" <<'EOF'
import pathlib, sys, zipfile
home = pathlib.Path(sys.argv[1])
for wheel in (home / "wheels").glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        left_out = ("libtvm_compiler.so", "libtvm_runtime_cuda.so")
        archive.extractall(home / "site", [name for name in archive.namelist() if not name.endswith(left_out)])
EOF
}

write_wrappers() {
  cat > "$EMU_HOME/bin/python" <<EOF
#!/bin/sh
exec env -u LD_LIBRARY_PATH -u PYTHONDONTWRITEBYTECODE $EMU_HOME/bin/qemu-aarch64-static -cpu "\${EMU_CPU:-cortex-a76}" -L $ROOT -E PYTHONHOME=$ROOT/usr -E PYTHONPATH=$EMU_HOME/site -0 $EMU_HOME/bin/python $ROOT/usr/bin/python3.11 "\$@"
EOF
  cat > "$EMU_HOME/bin/aarch64-link" <<EOF
#!/usr/bin/env bash
# Called like a C compiler that links; the options that only a compiler knows are dropped.
words=(); for word in "\$@"; do case "\$word" in -fPIC|-nostdlib) ;; *) words+=("\$word");; esac; done
LD_LIBRARY_PATH=$EMU_HOME/lib/x86_64-linux-gnu exec $EMU_HOME/bin/aarch64-linux-gnu-ld.bfd "\${words[@]}"
EOF
  chmod +x "$EMU_HOME"/bin/*
}

setup() {
  [ -e "$EMU_HOME/ready" ] && return
  [ "$(uname -m)" = x86_64 ] || fail "the host is not x86-64"
  local tool
  for tool in apt-get dpkg-deb tar timeout "$PYTHON"; do
    command -v "$tool" >/dev/null || fail "$tool is missing"
  done
  rm -rf "$EMU_HOME"; mkdir -p "$EMU_HOME"
  fetch_packages
  unpack_packages
  install_wheels
  write_wrappers
  "$EMU_HOME/bin/python" -c 'import platform, tvm.rpc.server; assert platform.machine() == "aarch64"' ||
    fail "TVM does not start on the emulated device"
  rm -rf "$EMU_HOME/apt" "$EMU_HOME/wheels"
  touch "$EMU_HOME/ready"
}

serve() {
  ulimit -c 0
  export EMU_CPU=${3:-cortex-a76} TMPDIR=$EMU_HOME/sessions-$2
  rm -rf "$TMPDIR"; mkdir "$TMPDIR"
  exec "$EMU_HOME/bin/python" -u "$PROJECT/ago_core/devices/server.py" --tracker "$1" --key "$2"
}

case "${1:-}" in
  setup) setup;;
  serve) shift; serve "$@";;
  *) sed -n '2,5p' "$0"; exit 2;;
esac
