// Communicators by pattern. The registration is one switch, in make_communicator.cc.
#pragma once

#include <cstddef>
#include <memory>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/store/store.h"

namespace lambdaml::comm {

enum class Pattern {
  kReduce,         // one rank merges
  kReduceScatter,  // each rank merges one chunk
};

// The store must live as long as the result, and be this rank's own: opened after any fork.
// Errors: kInvalidArgument if the membership makes no sense.
std::unique_ptr<Communicator> MakeCommunicator(Pattern pattern, store::Store& store,
                                               const Membership& membership);

// The same for the shared model of `length` elements of asynchronous training.
// Errors: kInvalidArgument if the membership makes no sense or the store cannot swap.
std::unique_ptr<SharedModel> MakeSharedModel(store::Store& store, const Membership& membership,
                                             size_t length);

}  // namespace lambdaml::comm
