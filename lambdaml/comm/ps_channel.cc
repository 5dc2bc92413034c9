#include "lambdaml/comm/ps_channel.h"

#include <utility>

#include "lambdaml/comm/job_keys.h"
#include "lambdaml/comm/ps_communicator.h"
#include "lambdaml/comm/ps_shared_model.h"
#include "lambdaml/ps/address.h"

namespace lambdaml::comm {
namespace {

constexpr base::Duration kCheckTimeout = std::chrono::seconds(8);

}  // namespace

PsChannel::PsChannel(std::string url) : url_(std::move(url)), address_(ps::AddressFromUrl(url_)) {}

void PsChannel::Prepare(const std::string& /*job*/, const base::Deadline& deadline) {
  ps::FetchStatus(address_, base::Deadline::Earlier(
                                deadline, base::Deadline::After(kCheckTimeout, deadline.clock())));
}

void PsChannel::CleanUp(const std::string& job, const base::Deadline& deadline) {
  ps::CloseJob(address_, job, deadline);
}

ps::Client& PsChannel::MakeClient(const Membership& membership) {
  CheckMembership(membership);
  clients_.push_back(
      std::make_unique<ps::Client>(address_,
                                   ps::JobSpec{.job = membership.job,
                                               .worker_count = membership.worker_count,
                                               .keeps_rounds = membership.keeps_results},
                                   membership.rank));
  return *clients_.back();
}

std::unique_ptr<Communicator> PsChannel::MakeCommunicator(Pattern /*pattern*/,
                                                          const Membership& membership) {
  return std::make_unique<PsCommunicator>(MakeClient(membership), membership);
}

std::unique_ptr<SharedModel> PsChannel::MakeSharedModel(const Membership& membership,
                                                        size_t length) {
  return std::make_unique<PsSharedModel>(MakeClient(membership), membership, length);
}

store::Counters PsChannel::counters() const {
  store::Counters counters;
  for (const auto& client : clients_) {
    const ps::ClientCounters of_client = client->counters();
    counters.put_requests += of_client.contributions;
    counters.get_requests += of_client.requests - of_client.contributions;
    counters.retries += of_client.retries;
    counters.bytes_read += of_client.bytes_received;
    counters.bytes_written += of_client.bytes_sent;
    counters.waiting += of_client.waiting;
  }
  return counters;
}

}  // namespace lambdaml::comm
