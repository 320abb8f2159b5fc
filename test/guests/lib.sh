# Guests: virtual machines that QEMU runs on this one. For scripts, which call guests_begin first.
#
#   guests_begin                          what all guests need: QEMU and a kernel (./fetch), two networks
#   guest NAME [ATTRIBUTE=VALUE]...       starts one, with these attributes:
#                                         memory=MIB, cpus=NUMBER (1024, 1)
#                                         pin=PROCESSOR  it runs on this one of the machine's processors
#                                         vfs=NUMBER     virtual functions (1); 0: no adapter that has them
#                                         ivshmem=MIB    a device of memory that guests with this attribute share,
#                                                        behind the port ivshmem-port0; MIB,MIB: two of them
#                                         doorbell=MIB   the same as a device by which they can ring each other, and an
#                                                        IOMMU (./guest-bell makes use of it)
#                                         pmem=MIB       the same as persistent memory (./guest-dax makes use of it)
#                                         qemu=WORDS     more options for QEMU
#   guests_up                             waits until all guests run commands and have set up their VFs
#   guest_vfs NAME                        sets up its VFs again, after they were taken away
#   in_guest NAME COMMAND...              runs a command in it
#   guest_job NAME,NAME ARGUMENTS...      mpiexec, in the first, with ranks in these guests in turn
#   guest_qmp NAME COMMAND [ARGUMENTS]    gives its QEMU a command of QMP (arguments as JSON)
#   guests_end                            ends all and removes what they left; safe to call at any time
#
# With guests_arch=arm64 they are arm64 machines: what ./fetch --arch=arm64 got lies over the machine's files.
#
# Guests see the machine's files, as far as who runs this may read them; what they write stays in them. What
# changes outside while they run they may not see. They know each other by name, as 10.77.0.11, .12 and so on
# on eth0 (virtio), and as 10.78.0.11 and so on on their VFs; a second VF has 10.79.0.11, and so on.
guests_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
guests=()
guests_work='' guests_memory='' guests_switch='' guests_server='' guests_accel=${FERRY_GUESTS_ACCEL:-} guests_arch=${guests_arch:-amd64}

guests_say() {
    printf '[%3d s] %s\n' "$SECONDS" "$*" >&2
}

# guests_need PACKAGE COMMAND: a command that fails where the package is missing
guests_need() {
    eval "$2" >/dev/null 2>&1 || { echo "guests: $1 is missing (Debian: apt-get install $1)" >&2; return 2; }
}

guests_begin() {
    local root kernel file each number=10
    # Debian's python3-minimal lacks json.
    guests_need python3 "python3 -c 'import json'" || return
    guests_need gcc "command -v cc" || return
    guests_need util-linux "command -v setpriv" || return
    guests_fetched=$("$guests_dir/fetch" --arch=$guests_arch) || return 2
    root=$guests_fetched/root kernel=$(cat "$guests_fetched/kernel")
    # Lets no fetch remove it until the last guest has ended.
    exec {guests_lock}<"$guests_fetched"
    flock -s "$guests_lock"
    guests_library=$guests_fetched/host/usr/lib/x86_64-linux-gnu
    guests_machine
    guests_work=$(mktemp -d "${TMPDIR:-/tmp}/ferry-guests.XXXXXX")
    # What guests share is memory here, too.
    guests_memory=$(mktemp -d /dev/shm/ferry-guests.XXXXXX)
    # All that a guest needs until it has its root.
    mkdir -p "$guests_work/initrd/modules"
    cp "$guests_dir/init" "$guests_dir/agent" "$(PATH=$root/usr/bin:$PATH type -P busybox)" "$guests_work/initrd"
    local modprobe=("$(guests_tool kmod)") listed
    listed=$(for file in virtio_pci virtio_console virtio_net 9p 9pnet_virtio overlay; do
        (LD_LIBRARY_PATH=$guests_library exec -a modprobe "${modprobe[@]}" \
            --show-depends -d "$root" -S "$kernel" $file)
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }')
    for file in $listed; do
        each=$guests_work/initrd/modules/$((number++))-${file##*/}
        cp "$file" "$each"
        [[ $file != *.xz ]] || LD_LIBRARY_PATH=$guests_library "$(guests_tool xz)" -d "$each"
    done
    (cd "$guests_work/initrd" && find . | "$(guests_tool cpio)" -o -H newc --quiet) >"$guests_work/initrd.cpio"

    cc -O2 -o "$guests_work/switch" "$guests_dir/switch.c"
    setpriv --pdeathsig KILL "$guests_work/switch" "$guests_work/net0" "$guests_work/net1" &
    guests_switch=$!
    guests_await "$guests_work/net1" $guests_switch || return
    [ -n "$guests_accel" ] || guests_accel=$(guests_choose_accel)
}

# What QEMU is and what it is told, by architecture. Without erms and fsrm emulated copies are not done byte by byte;
# signing addresses takes long under emulation, unless by a way of QEMU's own.
guests_machine() {
    local share=$guests_fetched/host/usr/share
    if [ $guests_arch = amd64 ]; then
        guests_qemu=("$(guests_tool qemu-system-x86_64)" -L "$share/qemu" -L "$share/seabios" -M q35)
        guests_cpu=max,-erms,-fsrm
        guests_kernel="console=ttyS0 quiet panic=-1 nokaslr mitigations=off tsc=reliable no_timer_check"
    else
        guests_qemu=("$(guests_tool qemu-system-aarch64)" -L "$share/qemu"
            -bios "$share/qemu-efi-aarch64/QEMU_EFI.fd" -M virt,nvdimm=on)
        guests_cpu=max,pauth-impdef=on
        guests_kernel="console=ttyAMA0 quiet panic=-1 nokaslr mitigations=off"
        guests_accel=tcg
    fi
}

# guests_serve MIB: the server of devices with a doorbell, once.
guests_serve() {
    [ -z "$guests_server" ] || return 0
    truncate -s "$1M" "$guests_memory/doorbell"
    setpriv --pdeathsig KILL "$guests_dir/doorbell" "$guests_work/doorbell" "$guests_memory/doorbell" &
    guests_server=$!
    guests_await "$guests_work/doorbell" $guests_server
}

# guests_await SOCKET PID: until the process has made it; fails when that ends.
guests_await() {
    while [ ! -S "$1" ]; do
        kill -0 "$2" 2>/dev/null || return
        sleep 0.01
    done
}

# What ./fetch got, or else what the machine has.
guests_tool() {
    PATH=$guests_fetched/host/usr/bin:$PATH type -P "$1"
}

guest() {
    local name=$1 memory=1024 cpus=1 pin='' vfs=1 ivshmem='' doorbell='' pmem='' qemu='' each
    shift
    for each; do
        case $each in
        memory=* | cpus=* | pin=* | vfs=* | ivshmem=* | doorbell=* | pmem=* | qemu=*) local "$each" ;;
        *) echo "guest: $each is no attribute" >&2; return 2 ;;
        esac
    done
    local number=$((11 + ${#guests[@]})) dir=$guests_work/$name mac
    [[ $name =~ ^[a-z][a-z0-9]*$ ]] || { echo "guest: $name is no name; a1 is one" >&2; return 2; }
    [ ! -e "$dir" ] || { echo "guest: there is a $name already" >&2; return 2; }
    mac=52:54:00:77:$(printf %02x $number)
    local options=(-netdev "stream,id=n0,server=off,addr.type=unix,addr.path=$guests_work/net0"
        -device "virtio-net-pci,netdev=n0,romfile=,mac=$mac:00")
    [ "$vfs" = 0 ] || options+=(-device pcie-root-port,id=port0,slot=1
        -netdev "stream,id=n1,server=off,addr.type=unix,addr.path=$guests_work/net1"
        -device "igb,id=igb0,bus=port0,netdev=n1,romfile=,mac=$mac:01")
    local index=0 size
    for size in ${ivshmem//,/ }; do
        # The port keeps room for a device that is plugged in later.
        options+=(-object "memory-backend-file,id=shared$index,mem-path=$guests_memory/ivshmem$index,size=${size}M,share=on"
            -device "pcie-root-port,id=ivshmem-port$index,chassis=$((10 + index)),slot=$((10 + index)),pref64-reserve=$((2 * size))M"
            -device "ivshmem-plain,id=ivshmem$index,bus=ivshmem-port$index,memdev=shared$index")
        index=$((index + 1))
    done
    [ -z "$doorbell" ] || [ $guests_arch = amd64 ] || { echo "guest: a doorbell is for x86-64 only" >&2; return 2; }
    [ -z "$doorbell" ] || {
        guests_serve "$doorbell" || return
        # Before all that it is to see.
        options=(-device intel-iommu,intremap=on "${options[@]}"
            -chardev "socket,id=bell0,path=$guests_work/doorbell"
            -device "pcie-root-port,id=bell-port,chassis=9,slot=9"
            -device "ivshmem-doorbell,id=ringer0,bus=bell-port,chardev=bell0,vectors=1")
    }
    # QEMU has virtio-pmem for x86-64 only.
    local pmem_device=virtio-pmem-pci
    [ $guests_arch = amd64 ] || pmem_device=nvdimm
    [ -z "$pmem" ] || options+=(-device $pmem_device,id=pmem0,memdev=pmem
        -object "memory-backend-file,id=pmem,mem-path=$guests_memory/pmem,size=${pmem}M,share=on")
    local kernel=$guests_kernel
    [ -z "$doorbell" ] || kernel+=" intel_iommu=on iommu=pt"
    mkdir -p "$dir/ports"
    options+=(-device virtio-serial-pci)
    for each in 0 1 2 3 4 5 6 7; do
        options+=(-chardev "socket,id=agent$each,path=$dir/ports/agent$each,server=on,wait=off"
            -device "virtserialport,chardev=agent$each,name=agent$each")
    done
    local command=("${guests_qemu[@]}")
    [ -z "$pin" ] || command=(taskset -c "$pin" "${command[@]}")
    # maxcpus=2: for a single processor TCG makes atomic instructions plain ones, which memory that two
    # guests share would not survive.
    case $guests_accel in
    kvm) options+=(-accel kvm -cpu host) ;;
    *) options+=(-accel tcg,thread=multi -cpu $guests_cpu) ;;
    esac
    # shellcheck disable=SC2086
    LD_LIBRARY_PATH=$guests_library setpriv --pdeathsig KILL "${command[@]}" \
        -name "$name" -smp "$cpus,maxcpus=$((cpus > 1 ? cpus : 2))" -m "$memory${pmem:+,slots=4,maxmem=$((memory + 4 * pmem + 1024))M}" \
        -nodefaults -display none -no-reboot -serial "file:$dir/serial" -qmp "unix:$dir/qmp,server=on,wait=off" \
        -kernel "$guests_fetched/vmlinux" -initrd "$guests_work/initrd.cpio" \
        -append "$kernel GUEST_NAME=$name GUEST_ADDRESS=10.77.0.$number" \
        -virtfs local,path=/,security_model=none,mount_tag=host,readonly=on,multidevs=remap \
        -virtfs "local,path=$guests_fetched/root,security_model=none,mount_tag=tools,readonly=on,multidevs=remap" \
        "${options[@]}" $qemu </dev/null >"$dir/qemu" 2>&1 &
    echo $! >"$dir/pid"
    [ "$vfs" = 0 ] || for ((each = 0; each < vfs; each++)); do
        echo "10.$((78 + each)).0.$number"
    done >"$dir/vf"
    echo "10.77.0.$number $name" >>"$guests_work/hosts"
    guests+=("$name")
}

# Says why a guest is of no use.
guest_failed() {
    local dir=$guests_work/$1 file
    echo "guests: $1 $2" >&2
    for file in qemu serial; do
        [ ! -s "$dir/$file" ] || {
            echo "    the end of what ${file/serial/its serial console} said:"
            tail -n 15 "$dir/$file" | tr -d '\r' | sed 's/^/        /'
        } >&2
    done
    return 1
}

guest_comes_up() {
    local name=$1 dir=$guests_work/$1 end=$((SECONDS + 180)) hosts
    while [ ! -S "$dir/ports/agent7" ]; do
        kill -0 "$(cat "$dir/pid")" 2>/dev/null && [ $SECONDS -lt $end ] ||
            guest_failed "$name" "was not started by QEMU" || return
        sleep 0.05
    done
    hosts=$(cat "$guests_work/hosts")
    timeout $((end - SECONDS + 1)) "$guests_dir/ask" "$dir/ports" \
        sh -c "echo '$hosts' >> /etc/hosts" 2>"$dir/ask" || {
        [ $SECONDS -ge $end ] || guest_failed "$name" "ended before it was up: $(cat "$dir/ask")" || return
        guest_failed "$name" "did not come up in 180 s" || return
    }
    [ ! -e "$dir/vf" ] || guest_vfs "$name" >"$dir/vf.log" 2>&1 ||
        guest_failed "$name" "has no VF: $(tail -n 1 "$dir/vf.log")"
}

guest_vfs() {
    in_guest "$1" "$guests_dir/guest-vf" "$(sed 's|$|/24|' "$guests_work/$1/vf" | paste -sd,)"
}

guests_up() {
    local name waiting=() pid failed=no
    for name in "${guests[@]}"; do
        guest_comes_up "$name" &
        waiting+=($!)
    done
    for pid in "${waiting[@]}"; do
        wait "$pid" || failed=yes
    done
    [ $failed = no ]
}

in_guest() {
    local name=$1
    shift
    "$guests_dir/ask" "$guests_work/$name/ports" "$@"
}

guest_job() {
    local names=$1
    shift
    in_guest "${names%%,*}" "${MPI_PREFIX:-/opt/ferry}/bin/mpiexec" -launcher ssh \
        -launcher-exec "$guests_dir/enter" -hosts "$names" "$@"
}

guest_qmp() {
    local name=$1
    shift
    "$guests_dir/qmp" "$guests_work/$name/qmp" "$@"
}

guests_end() {
    local name pids=()
    for name in ${guests[@]+"${guests[@]}"}; do
        pids+=("$(cat "$guests_work/$name/pid")")
    done
    pids+=($guests_switch $guests_server)
    [ ${#pids[@]} = 0 ] || {
        kill -KILL "${pids[@]}" || true
        wait "${pids[@]}" || true
    } 2>/dev/null
    guests=() guests_switch='' guests_server=''
    [ -z "$guests_work" ] || rm -rf "$guests_work" ${guests_memory:+"$guests_memory"}
}

# KVM where a kernel really boots under it, which not all have that offer it; emulation elsewhere. What came out is
# kept until the machine boots again.
guests_choose_accel() {
    local known
    known=$guests_fetched/accel-$(cat /proc/sys/kernel/random/boot_id)
    [ -r /dev/kvm ] && [ -w /dev/kvm ] || { echo tcg; return; }
    if [ ! -e "$known" ]; then
        guests_say "trying KVM, 10 s at most"
        rm -f "$guests_fetched"/accel-*
        LD_LIBRARY_PATH=$guests_library timeout -s KILL 10 "${guests_qemu[@]}" -accel kvm \
            -cpu host -m 512 -nodefaults -display none -no-reboot -serial "file:$guests_work/trial" \
            -kernel "$guests_fetched/vmlinux" -initrd "$guests_work/initrd.cpio" \
            -append "console=ttyS0 quiet panic=-1" </dev/null >/dev/null 2>&1 || true
        grep -q "it boots" "$guests_work/trial" 2>/dev/null && echo kvm >"$known" || echo tcg >"$known"
    fi
    cat "$known"
}
