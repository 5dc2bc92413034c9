// The protocol of synchronous jobs, for Spin: rounds, announcements, kept results, checkpoints,
// hand-overs between generations, workers that die and are started again, duplicates.
// docs/fault-tolerance.md says it in words; generations_test.py runs it.
//
// What a model is, is `step`, the training steps behind it: a message carries the step of who wrote
// it, and whoever reads one asserts that it is of its own kind and step. Times are choices: rank 0
// announces what it likes, a worker may pause or die between any two requests, deletes come at once
// or never. The channel is durable; a wait has no deadline, so a wait in vain is a deadlock, which
// Spin reports, unless who waits learns that it is left behind.
//
// Asserted: ranks that read each other's messages are at the same step (so they end a generation
// after the same round, go on from the same checkpoint, and none is beyond it); a message that is
// written again is the same; a checkpoint that is referred to is whole; the job fails only when
// restarts are used up. Since no run is endless (there are no cycles: searched for too),
// the absence of deadlocks says that every rank finishes.
//
// MAY_FAIL: only that no rank goes on from another's messages or for ever, with as many restarts as
// RESTARTS says; the job may fail.
//
// Size, by -D: RANKS, STEPS, GENERATIONS, CHECKPOINTS, CRASHES, DUPLICATES (bit r: rank r may have
// one), RESTARTS; SCATTER: every rank merges a chunk, not rank 0 alone.
//
// Mutants, by -D, in each of which Spin must find an error: see generations_test.py.

#ifndef RANKS
#define RANKS 2
#endif
#ifndef STEPS
#define STEPS 2
#endif
#ifndef GENERATIONS
#define GENERATIONS 2
#endif
#ifndef CHECKPOINTS
#define CHECKPOINTS 2
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef DUPLICATES
#define DUPLICATES 0
#endif
#ifndef RESTARTS
#define RESTARTS 255
#endif
#ifdef SCATTER
#define MERGERS RANKS
#else
#define MERGERS 1
#endif

#define ROUNDS (2 + STEPS + CHECKPOINTS)  // round 0 is none

#define ALL_RANKS ((1 << RANKS) - 1)

// Messages: 0 if there is none, else kind + 4 * word + 16 * step.
#define HELLO 1
#define TRAIN 2
#define SAVE_PARTS 3
#define GO_ON 0
#define SAVE 1
#define END 2
#define MESSAGE(kind, word, step) ((kind) + 4 * (word) + 16 * (step))
#define KIND(message) ((message) & 3)
#define WORD(message) (((message) >> 2) & 3)
#define STEP(message) ((message) >> 4)

#ifdef SHARED_KEYS  // all generations write under the same keys
#define ROUND(generation, number) (number)
#else
#define ROUND(generation, number) ((generation) * ROUNDS + (number))
#endif

// What rank r wrote for all in a round; and what it contributed to chunk c, as step + 1.
byte result[GENERATIONS * ROUNDS * RANKS];
byte contribution[GENERATIONS * ROUNDS * RANKS * MERGERS];
#define RESULT(generation, number, r) result[ROUND(generation, number) * RANKS + (r)]
#define CONTRIBUTION(generation, number, r, c) \
  contribution[(ROUND(generation, number) * RANKS + (r)) * MERGERS + (c)]

typedef Manifest {
  bool stands;
  byte generation, rounds, rounds_ended, step
}
Manifest manifest[CHECKPOINTS + 1];
byte parts[CHECKPOINTS + 1];  // bit r: rank r's part stands
byte latest;                  // number of the newest checkpoint
// The newest whole one: rank 0 may have died between `latest` and the manifest.
#define NEWEST (manifest[latest].stands -> latest : (latest > 0 -> latest - 1 : 0))

byte generation_of[RANKS];  // that the trigger has invoked
byte restarts[RANKS];       // in this generation
byte crashes;
bool is_killed[2 * RANKS];
bool has_outcome, has_failed;

#ifdef NEVER_ASKS  // so a worker waits for ever for what others have deleted
#define LEFT_BEHIND false
#else
#define LEFT_BEHIND \
  (NEWEST > number || has_outcome || (number > 0 && manifest[number].generation > generation))
#endif

inline DeleteContributions(end) {
  i = 1;
  do
  :: i < end ->
     j = 0;
     do
     :: j < MERGERS -> CONTRIBUTION(generation, i, rank, j) = 0; j++
     :: else -> break
     od;
     i++
  :: else -> break
  od
}

inline DeleteResults(end) {
  i = 1;
  do
  :: i < end -> RESULT(generation, i, rank) = 0; i++
  :: else -> break
  od
}

// What StoreCommunicator::Receive does before it waits: deletes what nobody needs, now or later.
inline CleanUp() {
  atomic {
    if
    :: contributed > 1 ->
       if
       :: DeleteContributions(contributed)
       :: skip
       fi
    :: else
    fi;
#ifdef RESULTS_NOT_KEPT
    DeleteResults(contributed);
#endif
    if
    :: released > 0 && contributed > released ->
       if
       :: DeleteResults(released + 1)
       :: skip
       fi;
       released = 0
    :: else
    fi;
    if
    :: leftover > 0 && contributed > 0 ->
       RESULT(generation - 1, leftover, rank) = 0;
       leftover = 0
    :: else
    fi;
    i = 0; j = 0
  }
}

#define RESULTS_OF_1 (RESULT(generation, round, 0) != 0)
#if RANKS == 2
#define RESULTS_OF_ALL (RESULTS_OF_1 && RESULT(generation, round, 1) != 0)
#define CONTRIBUTIONS_OF_ALL (CONTRIBUTION(generation, round, 1 - rank, rank) != 0)
#else  // 3
#define RESULTS_OF_ALL \
  (RESULTS_OF_1 && RESULT(generation, round, 1) != 0 && RESULT(generation, round, 2) != 0)
#define CONTRIBUTIONS_OF_ALL                                     \
  (CONTRIBUTION(generation, round, (rank + 1) % 3, rank) != 0 && \
   CONTRIBUTION(generation, round, (rank + 2) % 3, rank) != 0)
#endif
#ifdef SCATTER
#define SUMS_STAND RESULTS_OF_ALL
#else
#define SUMS_STAND RESULTS_OF_1
#endif

// Reads the results of the round, all there, of `count` ranks.
inline ReadResults(kind, count) {
  i = 0;
  do
  :: i < count ->
#ifdef MAY_FAIL
     if
     :: KIND(RESULT(generation, round, i)) != kind -> goto failed  // as kCorrupt
     :: else
     fi;
#endif
     assert(KIND(RESULT(generation, round, i)) == kind);
     if
     :: kind == HELLO && STEP(RESULT(generation, round, i)) != step -> goto failed  // found out
     :: else
     fi;
     assert(STEP(RESULT(generation, round, i)) == step);
     i++
  :: else -> break
  od;
  i = 0;
  contributed = round
}

inline AllGather(kind) {
  atomic {
    round++;
    if
    :: RESULT(generation, round, rank) == 0 ->
       RESULT(generation, round, rank) = MESSAGE(kind, 0, step)
    :: else -> was_here = true
    fi
  }
  CleanUp();
  if
  :: atomic { RESULTS_OF_ALL -> ReadResults(kind, RANKS) }
  :: atomic { !RESULTS_OF_ALL && LEFT_BEHIND -> goto failed }
  fi
}

inline AllReduceSum() {
  round++;
  is_taken = false;
  if
  :: atomic { was_here && SUMS_STAND -> is_taken = true }
  :: else ->
     atomic {
       i = 0;
       do
       :: i < MERGERS ->
          if
          :: i != rank ->
             assert(CONTRIBUTION(generation, round, rank, i) == 0 ||
                    CONTRIBUTION(generation, round, rank, i) == step + 1);
             CONTRIBUTION(generation, round, rank, i) = step + 1
          :: else
          fi;
          i++
       :: else -> break
       od;
       i = 0
     }
     if
     :: rank < MERGERS -> Merge()
     :: else
     fi
  fi;
  CleanUp();
  if
  :: atomic {
       SUMS_STAND -> ReadResults(TRAIN, MERGERS);
#ifdef ANNOUNCEMENT_PUT_ALWAYS
       if
       :: rank == 0 && !is_taken
       :: else -> word = WORD(RESULT(generation, round, 0))
       fi;
#else
       word = WORD(RESULT(generation, round, 0));
#endif
       step++
     }
  :: atomic { !SUMS_STAND && LEFT_BEHIND -> goto failed }
  fi
}

// Waits for the contributions to this rank's chunk, or for its sum where an earlier invocation
// may have put it; puts the sum, rank 0 only where none stands.
inline Merge() {
  CleanUp();
  if
  :: atomic {
       CONTRIBUTIONS_OF_ALL ->
       i = 0;
       do
       :: i < RANKS ->
          assert(i == rank || CONTRIBUTION(generation, round, i, rank) == step + 1);
          i++
       :: else -> break
       od;
       i = 0;
       contributed = round
     }
     if
     :: rank > 0 ->
        atomic {
          assert(RESULT(generation, round, rank) == 0 ||
                 RESULT(generation, round, rank) == MESSAGE(TRAIN, 0, step));
          RESULT(generation, round, rank) = MESSAGE(TRAIN, 0, step)
        }
     :: else ->
        if  // by rank 0's clock
        :: word = GO_ON
        :: number < CHECKPOINTS -> word = SAVE
        :: number < CHECKPOINTS && generation < GENERATIONS - 1 -> word = END
        fi;
        atomic {
          if
#ifdef ANNOUNCEMENT_PUT_ALWAYS
          :: RESULT(generation, round, 0) = MESSAGE(TRAIN, word, step)
#else
          :: RESULT(generation, round, 0) == 0 ->
             RESULT(generation, round, 0) = MESSAGE(TRAIN, word, step)
          :: else -> was_here = true
#endif
          fi
        }
     fi
  :: atomic { was_here && !CONTRIBUTIONS_OF_ALL && RESULT(generation, round, rank) != 0 }
  :: atomic {
       !CONTRIBUTIONS_OF_ALL && !(was_here && RESULT(generation, round, rank) != 0) &&
         LEFT_BEHIND -> goto failed
     }
  fi
}

// Checkpoint number + 1.
inline Save() {
  parts[number + 1] = parts[number + 1] | (1 << rank);
#ifdef RELEASED_BEFORE_SAVED
  atomic { DeleteResults(round + 1); i = 0 }
#endif
#ifndef MANIFEST_FIRST  // else: rank 0 does not wait for the others' parts
  AllGather(SAVE_PARTS);
#else
  if
  :: rank > 0 -> AllGather(SAVE_PARTS)
  :: else
  fi;
#endif
  if
  :: rank == 0 ->
     if
#ifdef LATEST_GOES_BACK
     :: latest = number + 1
#else
     :: atomic { latest < number + 1 -> latest = number + 1 }
     :: latest >= number + 1
#endif
     fi;
     if
#ifdef LATEST_GOES_BACK
     :: true ->
#else
     :: latest == number + 1 && !manifest[number + 1].stands ->
#endif
        atomic {
          manifest[number + 1].generation = generation + (word == END -> 1 : 0);
          manifest[number + 1].rounds = (word == END -> 0 : round);
          manifest[number + 1].rounds_ended = round;
          manifest[number + 1].step = step;
          manifest[number + 1].stands = true
        }
     :: else
     fi;
#ifdef MANIFEST_FIRST
     AllGather(SAVE_PARTS)
#endif
  :: rank > 0 && word == END ->
#ifndef WITHOUT_WAIT_FOR_MANIFEST
     if
     :: manifest[number + 1].stands
     :: atomic { !manifest[number + 1].stands && LEFT_BEHIND -> goto failed }
     fi
#else
     skip
#endif
  :: else
  fi;
  atomic {
    if
    :: older > 0 ->
       parts[older] = parts[older] & ~(1 << rank);
       if
       :: rank == 0 -> manifest[older].stands = false
       :: else
       fi
    :: else
    fi;
    older = number;
    number++;
    released = round;
    if
    :: word == END ->
       if
       :: DeleteResults(round)
       :: skip
       fi;
       DeleteContributions(round)
    :: else
    fi;
    i = 0; j = 0
  }
}

// One rank: all its invocations one after the other, as the trigger makes them; or a duplicate of
// one of them, which nobody listens to.
proctype Rank(byte rank; bool is_duplicate) {
  byte generation, round, step, word, number, older, contributed, released, leftover, i, j;
  bool was_here, is_again, is_taken;
#define ME (rank * 2 + (is_duplicate -> 1 : 0))

  if
  :: is_duplicate ->
     if  // of any invocation so far
     :: generation = generation_of[rank]
     :: generation_of[rank] > 0 -> generation = generation_of[rank] - 1
     fi;
     if
     :: is_again = false
     :: is_again = true
     fi
  :: else
  fi;

enter:
  {
    atomic {
      round = 0; step = 0; word = GO_ON; number = 0; older = 0;
      contributed = 0; released = 0; leftover = 0;
      was_here = is_again;
      is_taken = false
    }
    if
    :: (generation > 0 || is_again) && has_outcome -> goto finished
    :: else
    fi;
    if
    :: generation > 0 || is_again ->
       number = latest;
       atomic {
         if
         :: manifest[number].stands || number == 0
         :: else -> number--
         fi;
         if
         :: number > 0 && !manifest[number].stands -> number = 0
         :: else
         fi
       }
    :: else
    fi;
    atomic {
      if
      :: number == 0 && generation > 0 -> assert(NEWEST > 0); goto failed
      :: number == 0 && generation == 0
      :: else ->
         if
         :: !manifest[number].stands || parts[number] != ALL_RANKS ->
            assert(NEWEST > number);
            goto failed
         :: else
         fi;
         step = manifest[number].step;
         if
         :: manifest[number].generation > generation -> goto ended
         :: manifest[number].generation == generation ->
            round = manifest[number].rounds;
            was_here = was_here || round > 0
         :: else
         fi;
         if
         :: round == 0 && generation > 0 -> leftover = manifest[number].rounds_ended
         :: else
         fi
      fi
    }
    if
    :: round == 0 -> AllGather(HELLO)
    :: else
    fi;
    do
    :: step < STEPS ->
       AllReduceSum();
       if
       :: word != GO_ON ->
          Save();
          if
          :: word == END -> goto ended
          :: else
          fi
       :: else
       fi
    :: else -> break
    od;
    if
    :: rank == 0 -> has_outcome = true
    :: else
    fi;
    goto finished
  } unless {
    if
    :: atomic { is_killed[ME] -> is_killed[ME] = false; goto again }
    :: has_failed -> goto finished
    fi
  };

failed:  // who was left behind enters its generation anew; other failures end the invocation
  atomic {
    if
#ifndef LEFT_BEHIND_FAILS
    :: LEFT_BEHIND -> is_again = true; goto enter
#endif
    :: else
    fi
  }

again:
  atomic {
    if
    :: is_duplicate -> goto finished
    :: else
    fi;
    if
    :: restarts[rank] == RESTARTS -> has_failed = true; goto finished
    :: else -> restarts[rank]++; is_again = true
    fi;
    goto enter
  }

ended:
  atomic {
    if
    :: is_duplicate -> goto finished
    :: else
    fi;
    generation++;
    generation_of[rank] = generation;
    restarts[rank] = 0;
    is_again = false;
    goto enter
  }

finished:
#ifndef MAY_FAIL
  assert(!has_failed || crashes > RESTARTS)
#endif
}

active proctype Main() {
  byte r = 0;
  atomic {
    do
    :: r < RANKS ->
       run Rank(r, false);
       if
       :: (DUPLICATES >> r) & 1 -> run Rank(r, true)
       :: else
       fi;
       r++
    :: else -> break
    od;
    r = 0
  }
  do
  :: atomic { crashes < CRASHES -> crashes++; is_killed[0] = true }
  :: atomic { crashes < CRASHES -> crashes++; is_killed[2] = true }
#if RANKS == 3
  :: atomic { crashes < CRASHES -> crashes++; is_killed[4] = true }
#endif
  :: break
  od
}
