/*
 * How observers find out that an owner is silent for the length of its lease (sum_up() and judge() in
 * src/util/commons/commons_owners.c): each sums up what it saw itself, since what the region told when it began
 * to look; the greatest sum is told. Each load and each swap is a step. Time passes in between as it likes, and
 * observers leave and come again.
 *
 * Shown: an owner that always beats within its lease never loses its entry.
 */
#define LEASE 3
#ifndef TICKS
#define TICKS 5
#endif
/* To see that it finds mistakes: 1 a count goes on from what was told, but from an earlier time. */
#ifndef MISTAKE
#define MISTAKE 0
#endif

byte now, silent; /* since the last beat */
byte beats;
byte told_beats, told; /* one word of the region */

proctype owner_and_time()
{
    do
    :: atomic { now < TICKS &&
        silent < LEASE - 1 -> silent++; now++ }
    :: atomic { beats < 2 -> beats++; silent = 0 }
    :: atomic { now == TICKS -> break }
    od
}

proctype observer(byte p)
{
    byte seen, looked, before, own, sum, w, w_beats, t;
    bool known;

    do
    :: now == TICKS -> break
    :: known -> known = false; seen = 0; looked = 0; before = 0; own = 0 /* leaves, comes again */
    :: now < TICKS ->
        t = now;
        w = beats;
        if
        :: !known || w != seen ->
            seen = w;
            atomic { before = (told_beats == seen -> told : 0) };
            looked = now; /* after the beats were read */
            own = 0;
            known = true
        :: else ->
            own = own + t - looked;
            looked = t;
            sum = before + own;
            atomic { w_beats = told_beats; w = told };
            if
            :: w_beats == seen && w > sum ->
                before = w;
                own = 0;
                sum = w;
#if MISTAKE != 1
                looked = now /* after what was told */
#endif
            :: else ->
                atomic {
                    if
                    :: told_beats == w_beats && told == w && (sum > w || w_beats != seen) ->
                        told_beats = seen;
                        told = sum
                    :: else -> skip
                    fi
                }
            fi;
            if
            :: sum >= LEASE && beats == seen ->
                assert(false)
            :: else -> skip
            fi;
            w = 0; w_beats = 0; sum = 0
        fi;
        t = 0
    od
}

init
{
    atomic {
        run owner_and_time();
        run observer(0);
        run observer(1)
    }
}
