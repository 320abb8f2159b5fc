/*
 * How processes of several kernels take segments from one region (src/util/commons/commons_owners.c,
 * commons_blocks.c): entries with generations, blocks with tags, a seal for each segment. Each load and each swap is
 * a step of its own. Two processes, LIVES times each, come, take one or two of two blocks, write, give back,
 * and leave, or stay. LEASES times an entry is taken away, at any moment, from whoever has it:
 * that is a pause longer than the lease, after which the process goes on with what it was doing.
 *
 * Shown, for all interleavings of these (with loads and stores in one order for all):
 * - no two processes have the same block while both find their segments held;
 * - what is held in the end holds what its owner wrote, although others wrote late;
 * - an entry that lives holds the nonce of the process that has it;
 * - in the end no block is in use but those of segments that were not given back.
 * One that dies is one that takes no further step; its lease ends.
 */
#ifndef LIVES
#define LIVES 1
#endif
#ifndef LEASES
#define LEASES 1
#endif
/* To see that it finds mistakes: 1, 4 no confession, 2 a word written by a plain store, 3 a look at the seal only. */
#ifndef MISTAKE
#define MISTAKE 0
#endif

#define ENTRIES 2
#define BLOCKS 2

/* states */
#define FREE 0
#define CLAIMED 1
#define LIVE 2

/* An entry's state is gen * 4 + state; a tag is 0 or gen * 8 + entry * 2 + kind. */
#define STATE(g, s) ((g) * 4 + (s))
#define TAG(g, e, kind) ((g) * 8 + (e) * 2 + (kind))
#define OWNER(tag) ((tag) / 2)
#define FIRST 0
#define REST 1
#define IS_USED(tag) ((tag) != 0 && state[((tag) / 2) % 4] == STATE((tag) / 8, LIVE))

byte state[ENTRIES], nonce[ENTRIES];
byte tag[BLOCKS], seal[BLOCKS], memory[BLOCKS];
byte leases, ended;

/* What each process believes, for the claims; it has entry `mine` while own[p]. */
bool has[2], own[2];
byte at[2], length[2], sealed[2], mine[2], generation[2], named[2];

#define HOLDS(p) (has[p] && seal[at[p]] == sealed[p] && state[mine[p]] == STATE(generation[p], LIVE))
#define OVERLAP (at[0] < at[1] + length[1] && at[1] < at[0] + length[0])

#define KEPT(p) (memory[at[p]] == sealed[p] && (length[p] == 1 || memory[1] == sealed[p]))
#define HAS(p, b) (has[p] && (b) >= at[p] && (b) < at[p] + length[p])

inline swap(word, from, to, done)
{
    atomic {
        if
        :: word == from -> word = to; done = true
        :: else -> done = false
        fi
    }
}

/* Writes a word by the rule: from a value that was read before the own state was seen. */
inline write(word, value, own_state)
{
    done = false;
    do
    :: done -> break
    :: else ->
        old = word;
        if
        :: state[mine[p]] == own_state -> skip
        :: else -> break
        fi;
#if MISTAKE == 2
        word = value;
        done = true
#else
        swap(word, old, value, done)
#endif
    od
}

/* Breaks the seals of the segments that have blocks of [at, at + length) now. */
inline confess()
{
    i = at[p];
    do
    :: i == at[p] + length[p] -> break
    :: else ->
        old = tag[i];
        if
        :: i != at[p] && (old == 0 || old % 2 == REST) -> skip
        :: else ->
            k = i;
            if
            :: k == 1 && old != 0 && old % 2 == REST && OWNER(tag[0]) == OWNER(old) -> k = 0
            :: else -> skip
            fi;
            old = seal[k];
            if
            :: old != 0 -> swap(seal[k], old, 0, done)
            :: else -> skip
            fi
        fi;
        i++
    od
}

inline release(count)
{
    i = count;
    do
    :: i == 0 -> break
    :: else ->
        i--;
        swap(tag[at[p] + i], TAG(generation[p], mine[p], (i == 0 -> FIRST : REST)), 0, done)
    od
}

inline holds(result)
{
    result = (seal[at[p]] == sealed[p]);
    if
#if MISTAKE == 3
    :: false ->
#else
    :: result ->
#endif
        result = (state[mine[p]] == STATE(generation[p], LIVE))
    :: else -> skip
    fi
}

/* all: whether the segment could be had and was prepared */
inline take(all)
{
    all = true;
    i = 0;
    do
    :: i == length[p] || !all -> break
    :: else ->
        old = tag[at[p] + i];
        if
        :: IS_USED(old) -> all = false
        :: else ->
            swap(tag[at[p] + i], old, TAG(generation[p], mine[p], (i == 0 -> FIRST : REST)), all)
        fi;
        if
        :: all -> i++
        :: else -> skip
        fi
    od;
    if
    :: !all -> release(i)
    :: else ->
        atomic { numbers++; sealed[p] = p * 32 + numbers };
        write(seal[at[p]], sealed[p], STATE(generation[p], LIVE));
        all = done;
        if
        :: all ->
            k = 0;
            do
            :: k == length[p] -> break
            :: else -> memory[at[p] + k] = 0; k++
            od;
            holds(all);
            if
            :: !all ->
#if MISTAKE != 1
                confess();
#endif
                release(length[p])
            :: else -> skip
            fi
        :: else -> release(length[p])
        fi
    fi
}

proctype process(byte p)
{
    byte i, k, old, lives = LIVES;
    byte numbers; /* random numbers: none comes twice */
    bool done, all;

come:
    if
    :: lives == 0 -> goto end
    :: else -> lives--
    fi;
    mine[p] = 0;
    do
    :: mine[p] == ENTRIES -> goto come
    :: else ->
        old = state[mine[p]];
        done = false;
        if
        :: old % 4 == FREE ->
            generation[p] = old / 4 + 1;
            swap(state[mine[p]], old, STATE(generation[p], CLAIMED), done)
        :: else -> skip
        fi;
        if
        :: done ->
            atomic { numbers++; named[p] = p * 32 + numbers };
            write(nonce[mine[p]], named[p], STATE(generation[p], CLAIMED))
        :: else -> skip
        fi;
        if
        :: done -> break
        :: else -> mine[p]++
        fi
    od;
    atomic {
        swap(state[mine[p]], STATE(generation[p], CLAIMED), STATE(generation[p], LIVE), done);
        own[p] = done
    };
    if
    :: !done -> goto come
    :: else -> skip
    fi;
    if
    :: at[p] = 0; length[p] = 1
    :: at[p] = 0; length[p] = 2
    :: at[p] = 1; length[p] = 1
    fi;
    take(all);
    if
    :: !all -> goto leave
    :: else -> has[p] = true
    fi;
    /* Each block is written after a look, and after it there is a look again. */
    holds(all);
    if
    :: all ->
        k = 0;
        do
        :: k == length[p] -> break
        :: else -> memory[at[p] + k] = sealed[p]; k++
        od;
        holds(all)
    :: else -> skip
    fi;
#if MISTAKE != 4
    if
    :: !all -> confess()
    :: else -> skip
    fi;
#endif
    if
    :: goto end /* stays: has it in the end */
    :: skip
    fi;
    atomic { has[p] = false; swap(seal[at[p]], sealed[p], 0, done) };
    if
    :: release(length[p])
    :: skip /* leaving is enough */
    fi;
leave:
    atomic {
        has[p] = false;
        own[p] = false;
        swap(state[mine[p]], STATE(generation[p], LIVE), STATE(generation[p], FREE), done)
    };
    goto come;
end:
    atomic { ended++ }
}

/* The end of a lease: whoever it is, and whatever he does. */
proctype lease()
{
    byte e;

    do
    :: break
    :: atomic {
            leases < LEASES ->
            select(e : 0 .. 1);
            if
            :: state[e] % 4 != FREE -> state[e] = STATE(state[e] / 4, FREE); leases++
            :: else -> break
            fi
        }
    od;
    atomic { ended++ }
}

proctype inspector()
{
    byte b;

end_wait:
    if
    :: atomic { has[0] && has[1] && OVERLAP && HOLDS(0) && HOLDS(1) -> assert(false) }
    :: atomic { own[0] && state[mine[0]] == STATE(generation[0], LIVE) && nonce[mine[0]] != named[0] -> assert(false) }
    :: atomic { own[1] && state[mine[1]] == STATE(generation[1], LIVE) && nonce[mine[1]] != named[1] -> assert(false) }
    :: atomic {
        ended == 3 ->
        assert(!HOLDS(0) || KEPT(0));
        assert(!HOLDS(1) || KEPT(1));
        do
        :: b == BLOCKS -> break
        :: else -> assert(!IS_USED(tag[b]) || HAS(0, b) || HAS(1, b)); b++
        od
    }
    fi
}

init
{
    atomic {
        run process(0);
        run process(1);
        run lease();
        run inspector()
    }
}
