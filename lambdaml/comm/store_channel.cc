#include "lambdaml/comm/store_channel.h"

#include <span>

#include "lambdaml/base/bytes.h"
#include "lambdaml/comm/job_keys.h"

namespace lambdaml::comm {
namespace {

constexpr base::Duration kCheckTimeout = std::chrono::seconds(8);

}  // namespace

void StoreChannel::Prepare(const std::string& job, const base::Deadline& deadline) {
  store_->Prepare(deadline);
  const base::Deadline check_end =
      base::Deadline::Earlier(deadline, base::Deadline::After(kCheckTimeout, deadline.clock()));
  const std::string key = job + "/check";
  store_->Put(key, base::AsBytes(job), check_end);
  store_->Delete(std::span(&key, 1), check_end);
}

void StoreChannel::CleanUp(const std::string& job, const base::Deadline& deadline) {
  DeleteJob(*store_, job, deadline);
}

std::unique_ptr<Communicator> StoreChannel::MakeCommunicator(Pattern pattern,
                                                             const Membership& membership) {
  return comm::MakeCommunicator(pattern, *store_, membership);
}

std::unique_ptr<SharedModel> StoreChannel::MakeSharedModel(const Membership& membership,
                                                           size_t length) {
  return comm::MakeSharedModel(*store_, membership, length);
}

}  // namespace lambdaml::comm
