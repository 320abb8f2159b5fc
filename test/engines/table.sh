# A table of what ferry_info and others say of where they run. Sourced; needs $work, a folder for what comes out,
# $scratch, $info (the path of ferry_info there), and $outside: the levels that are right, without versions and models.
# $machine: the same without containers, which can't always be seen from within others.

# Without versions, models and ids, which not every container lets see.
bare() {
    sed -E 's/ \([^)]*\)//g; s/ [0-9][0-9.]*( >|$)/\1/g'
}

# The same levels as JSON tells, out of the text for people.
levels_of_text() {
    awk '/^Where/ { on = 1; next } /^$/ { exit }
        on && /^  [^ ]/ && !/^  note: / { printf "%s%s", sep, substr($0, 3); sep = " > " } END { print "" }'
}

# wrong WORDS KNOWN RIGHT: whether WORDS have one that is KNOWN but not RIGHT, or lack a RIGHT one ("none": none is).
wrong() {
    local word found=no
    for word in $1; do
        case " $3 " in *" $word "*) found=yes; continue ;; esac
        case " $2 " in *" $word "*) return 0 ;; esac
    done
    [ $found = no ] && [ "$3" != none ]
}

hypervisors="kvm qemu bochs xen xen-hvm xen-domU vmware oracle virtualbox microsoft hyperv virtualpc amazon aws google
    bhyve parallels qnx acrn powervm uml zvm apple sre"
engines_known="docker podman lxc lxc-libvirt systemd-nspawn systemd_nspawn rkt openvz wsl proot pouch container-other
    kubernetes"
hypervisors=${hypervisors//[[:space:]]/ } engines_known=${engines_known//[[:space:]]/ }

right_hypervisors() {
    case $machine in
    *"VM KVM"*) echo "kvm amazon aws google" ;;
    *"VM QEMU"*) echo qemu ;;
    *"VM Xen"*) echo "xen xen-hvm xen-domU aws" ;;
    *"VM Hyper-V"*) echo "microsoft hyperv azure" ;;
    *"VM VMware"*) echo vmware ;;
    *"VM VirtualBox"*) echo "oracle virtualbox" ;;
    *"bare metal"*) echo none ;;
    *) echo "$hypervisors" ;;
    esac
}

right_engines() {
    case $1 in
    "") echo none ;;
    LXC) echo lxc ;;
    systemd-nspawn) echo "systemd-nspawn systemd_nspawn" ;;
    docker | podman) echo "$1" ;;
    *) echo "container-other" ;;
    esac
}

# other LEVEL WORDS: how a row shows what another tool said.
other() {
    local level=${1:-${outside##* > container }} words=$2
    [ "$level" != "$outside" ] || level=
    [ -n "$words" ] || { echo "-"; return; }
    if wrong "$words" "$hypervisors" "$(right_hypervisors)" || wrong "$words" "$engines_known" "$(right_engines "$level")"
    then
        echo "wrong: $words"
    else
        echo "$words"
    fi
}

# check LEVEL COMMAND...: whether Ferry, run by the command, finds the levels that are outside, or those of them that
# are no containers, and as the innermost one a container that it calls LEVEL ("": no other). Its chain is left in $chain.
check() {
    local known more=${1:+ > container $1}
    shift
    "$@" "$info" --json > "$scratch/json" || { echo "ferry_info --json failed"; return 1; }
    "$@" "$info" > "$scratch/text" || { echo "ferry_info failed"; return 1; }
    if command -v python3 > /dev/null; then
        python3 -m json.tool "$scratch/json" > /dev/null || return 1
    fi
    chain=$(sed -n 's/^  "chain": "\(.*\)",$/\1/p' "$scratch/json")
    # Each is of a new container.
    [ "$(bare <<< "$chain")" = "$(levels_of_text < "$scratch/text" | bare)" ] || { echo "text and JSON say different things"; return 1; }
    # Where firmware is hidden from a container, it can't know of the cloud, and says so.
    known=$machine
    ! grep -q "in which cloud can't be known" "$scratch/json" || known=${machine#cloud * > }
    case $(bare <<< "$chain") in
    "$outside$more" | "$machine$more" | "$known$more") ;;
    *) echo "it found \"$chain\", not \"$machine$more\""; return 1 ;;
    esac
}

# row NAME LEVEL COMMAND...
row() {
    local name=$1 level=$2 detect what result=passed chain=
    shift 2
    if ! check "$level" "$@" > "$scratch/why" 2>&1; then
        result=failed
        echo "FAILED: $name: $(tail -n 1 "$scratch/why")" >> "$work/remarks"
    fi
    # Both fail where they find nothing, too. A VM and a container are two questions to systemd-detect-virt.
    detect=$("$@" /usr/bin/systemd-detect-virt --vm 2> /dev/null) || true
    detect="$detect $("$@" /usr/bin/systemd-detect-virt --container 2> /dev/null)" || true
    detect=${detect# }
    if what=$("$@" /usr/sbin/virt-what 2> /dev/null); then
        what=${what//$'\n'/ } what=${what:-none}
    else
        what=
    fi
    [ $result = passed ] || chain="FAILED: $chain"
    printf '| %s | %s | %s | %s |\n' "$name" "${chain:-?}" "$(other "$level" "$detect")" "$(other "$level" "$what")" \
        >> "$work/table"
    echo $result >> "$work/results"
}

# Into $work/root, all that a row runs there.
make_image() { # [FILE]...
    # shellcheck disable=SC2046
    "$(dirname "${BASH_SOURCE[0]}")/image" "$MPI_PREFIX" "$work/programs" "$work/root" "$info" "$@" \
        $(type -P systemd-detect-virt virt-what dmidecode which uname tr grep awk sed || true) \
        $(find /usr/libexec -name virt-what-cpuid-helper 2> /dev/null)
    cp "$info" "$work/root/usr/bin/ferry_info"
}

# All rows, and whether all went well.
show_table() {
    printf '| where | Ferry | systemd-detect-virt | virt-what |\n|---|---|---|---|\n'
    cat "$work/table" "$work/remarks"
    count() { grep -c "$1" "$work/results" || true; }
    echo "$(count passed) passed, $(count failed) failed, $(count skipped) skipped"
    [ "$(count failed)" = 0 ]
}
