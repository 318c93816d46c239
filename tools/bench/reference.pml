/*
 * The transition system of apps/lab/src/scenarios/reference-ptdump.ts for SPIN: N walkers and M unmappers over a table of
 * FAN x FAN leaf entries, one transition per shared access, local work folded into it. FIX: 0 no lock, 1 the merged shape,
 * 3 key tested before the clear. Nobody is created or dies, so with -DNOREDUCE the numbers of states must be equal.
 *
 *   spin -DN=2 -DM=2 -DFAN=2 -DFIX=1 -a reference.pml && gcc -O2 -DNOREDUCE -o pan pan.c && ./pan -E -c0
 */
#define LEAVES (FAN * FAN)
#define WRITER 128

bit upper[FAN] = 1;
bit middle[LEAVES] = 1;
bit freed[LEAVES];
byte lock; /* readers, plus WRITER */
byte key;

/* The walker goes on behind leaf (i, j). */
inline advance() {
	j++;
	if
	:: j < FAN -> goto read_middle
	:: else -> j = 0; i++;
		if
		:: i < FAN -> goto read_upper
		:: else -> i = 0; goto unlock
		fi
	fi
}

active [N] proctype walker()
{
	byte i, j, k;

	atomic { key++ };
	atomic { lock == 0 -> lock = WRITER };
read_upper:
	atomic {
		if
		:: upper[i] -> goto read_middle
		:: else -> i++;
			if
			:: i < FAN -> goto read_upper
			:: else -> i = 0; goto unlock
			fi
		fi
	};
read_middle:
	atomic {
		if
		:: middle[i * FAN + j] -> goto read_leaf
		:: else -> advance()
		fi
	};
read_leaf:
	atomic {
		assert(!freed[i * FAN + j]);
		k++;
		if
		:: k < FAN -> goto read_leaf
		:: else -> k = 0; advance()
		fi
	};
unlock:
	atomic { lock = lock - WRITER };
	atomic { key-- };
	false
}

active [M] proctype unmapper()
{
#define LEAF ((_pid - N) % LEAVES)
#if FIX == 3
	atomic { if :: key > 0 -> goto clear_locked :: else -> goto clear_unlocked fi };
clear_unlocked:
	atomic { middle[LEAF] = 0 };
	atomic { true; goto release };
clear_locked:
	atomic { middle[LEAF] = 0 };
	atomic { true; goto read_lock };
#else
	atomic { middle[LEAF] = 0 };
	atomic { true };
#if FIX == 1
	atomic { if :: key > 0 -> goto read_lock :: else -> goto release fi };
#else
	atomic { true; goto release };
#endif
#endif
read_lock:
	atomic { lock < WRITER -> lock++ };
	atomic { lock-- };
release:
	atomic { freed[LEAF] = 1 };
	false
}
