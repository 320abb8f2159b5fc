# podman, run by a user who is not root. Its pause needs cgroups of version 2.
. "$here/podman.sh"
tests="containers_without_options containers_with_a_directory containers_with_one_network one_stopped
    container_for_each_rank one_of_each_killed mpiexec_killed"
# slirp4netns, its network, gives each container the same address.
plain_way=none
shared=(--network host --pid host --uts host)
common=/run/user/64123/ferry
directory=(-v "$common:/run/ferry")

user=ferry-test
home=$SANDBOX/home
as=(env -C / HOME="$home" XDG_RUNTIME_DIR=/run/user/64123 USER=$user
    setpriv --reuid 64123 --regid 64123 --clear-groups)
export CONTAINERS_STORAGE_CONF=$SANDBOX/storage.conf

# Set up by root, tested by the user.
podman() {
    if [ "$(id -u)" = 0 ]; then
        "${as[@]}" podman "$@"
    else
        command podman "$@"
    fi
}

available() {
    have podman runc slirp4netns newuidmap setpriv
    [ -e /etc/subuid ] && [ -e /etc/subgid ] || { echo "there is no /etc/subuid, /etc/subgid"; return 1; }
}

setup() {
    local file
    for file in passwd group subuid subgid; do
        cp /etc/$file "$SANDBOX"
        mount --bind "$SANDBOX/$file" /etc/$file
    done
    echo "$user:x:64123:64123::$home:/bin/sh" >> /etc/passwd
    echo "$user:x:64123:" >> /etc/group
    echo "$user:6500000:65536" | tee -a /etc/subuid >> /etc/subgid
    install -d -o 64123 -g 64123 -m 700 /run/user/64123 "$home"
    podman_configuration
    printf '[storage]\ndriver = "overlay"\nrunroot = "/run/user/64123/containers"\ngraphroot = "%s/images"\n' \
        "$home" > "$CONTAINERS_STORAGE_CONF"
    tar -C "$root" -c . | podman import - mpi
    within true
}
