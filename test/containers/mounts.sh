# Fresh directories in the mount namespace of whoever sources this.

# fresh_dirs DIR=SIZE...: an empty tmpfs on each directory, in which the paths of SANDBOX_KEEP are seen
# again. /dev/shm=none: a /dev without shm.
fresh_dirs() {
    local each dir size path fd kept
    IFS=: read -r -a kept <<< "$SANDBOX_KEEP"
    for each; do
        dir=${each%%=*} size=${each#*=}
        local paths=() fds=()
        for path in "${kept[@]}"; do
            case $path in
            "$dir"/*) [ -e "$path" ] || continue
                      exec {fd}< "$path"
                      paths+=("$path") fds+=("$fd") ;;
            esac
        done
        if [ "$each" = /dev/shm=none ]; then
            small_dev
        else
            mount -t tmpfs -o "mode=1777,size=$size" tmpfs "$dir"
        fi
        local i
        for i in "${!paths[@]}"; do
            if [ -d "/proc/self/fd/${fds[i]}" ]; then
                mkdir -p "${paths[i]}"
            else
                mkdir -p "${paths[i]%/*}"
                touch "${paths[i]}"
            fi
            mount --no-canonicalize --rbind "/proc/self/fd/${fds[i]}" "${paths[i]}"
            fd=${fds[i]}
            exec {fd}<&-
        done
    done
}

# A /dev with the plainest devices only.
small_dev() {
    local node nodes=(null zero full random urandom tty) fds=() fd i
    for node in "${nodes[@]}"; do
        exec {fd}<> "/dev/$node" || continue
        fds+=("$fd:$node")
    done 2> /dev/null
    mount -t tmpfs -o mode=755,size=1m tmpfs /dev
    for i in "${fds[@]}"; do
        touch "/dev/${i#*:}"
        mount --no-canonicalize --bind "/proc/self/fd/${i%%:*}" "/dev/${i#*:}"
        fd=${i%%:*}
        exec {fd}<&-
    done
    ln -s /proc/self/fd /dev/fd
}
