#include "lambdaml/comm/make_communicator.h"

#include "lambdaml/base/check.h"
#include "lambdaml/comm/reduce.h"
#include "lambdaml/comm/reduce_scatter.h"
#include "lambdaml/comm/store_shared_model.h"

namespace lambdaml::comm {

std::unique_ptr<Communicator> MakeCommunicator(Pattern pattern, store::Store& store,
                                               const Membership& membership) {
  switch (pattern) {
    case Pattern::kReduce:
      return std::make_unique<Reduce>(store, membership);
    case Pattern::kReduceScatter:
      return std::make_unique<ReduceScatter>(store, membership);
  }
  LAMBDAML_CHECK(false);
}

std::unique_ptr<SharedModel> MakeSharedModel(store::Store& store, const Membership& membership,
                                             size_t length) {
  return std::make_unique<StoreSharedModel>(store, membership, length);
}

}  // namespace lambdaml::comm
