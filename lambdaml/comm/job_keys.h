// The keys of a job: known to every rank beforehand, so that nobody ever lists.
//
//   <job>/<g>/to<d>/<round>.<rank>   what <rank> wrote in <round> of generation g for d to merge
//   <job>/<g>/all/<round>.<rank>     what <rank> wrote in <round> of generation g for all others
//   <job>/model/<part>               the shared model of asynchronous training
//
// One folder for each reader: a store that notifies by folder wakes nobody else. A message of a
// round is immutable: whoever writes it again writes the same sum. Invocations of different
// generations share no key, so that one left over from an old generation disturbs nobody.
#pragma once

#include <cstdint>
#include <string>

#include "lambdaml/base/clock.h"
#include "lambdaml/comm/communicator.h"
#include "lambdaml/store/store.h"

namespace lambdaml::comm {

std::string InboxKey(const Membership& membership, int to_rank, uint64_t round, int from_rank);
std::string BroadcastKey(const Membership& membership, uint64_t round, int from_rank);
std::string ModelKey(const std::string& job, uint64_t part);

// Errors: kInvalidArgument if the rank is not in 0..worker_count-1, or the job is not the first
// component of a key, at most 120 bytes.
void CheckMembership(const Membership& membership);

// Deletes everything a job has written, and tears down what the store has prepared for it. For the
// end of a job, when no worker of it runs any more; a job that wrote nothing is no error.
void DeleteJob(store::Store& store, const std::string& job, const base::Deadline& deadline);

}  // namespace lambdaml::comm
