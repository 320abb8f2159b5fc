# Memory of virtual machines, for which a file that two containers have in common stands here.

region() { # helps
    mkdir -p /run/region
    truncate -s 16M /run/region/memory
    chmod 666 /run/region/memory
    container a share=/run/region:/run/region
    container b share=/run/region:/run/region
    export FERRY_GUESTS_MEMORY=/run/region/memory
}

over_a_region() {
    local program
    region
    for program in where pt2pt collectives rma datatypes any_source threads partitioned; do
        FERRY_TRANSPORTS=shm,guests passes job a,b -n 4 "$programs/$program"
        FERRY_TRANSPORTS='' by guests a,b
    done
    FERRY_TRANSPORTS=guests FERRY_GUESTS_ALLOC=yes passes job a,b -n 2 "$programs/allocated" 6
    by guests
    FERRY_TRANSPORTS=guests passes job a,b -n 2 "$programs/allocated"
}

erase_region() { # helps
    head -c 16777216 /dev/zero | dd of=/run/region/memory conv=notrunc bs=1M status=none
}

truncate_region() { # helps
    truncate -s 0 /run/region/memory
}

# Nothing is on its way just then, so that the job can go on.
lost_region() {
    local how ranks=2
    region
    for how in erase truncate; do
        truncate -s 16M /run/region/memory
        FERRY_TRANSPORTS=guests,fabric meanwhile ${how}_region job a,b -n 2 "$programs/meanwhile" "$SANDBOX/meanwhile"
        says 'take the network from now on'
        by fabric
    done
}
