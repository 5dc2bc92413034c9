#include "lambdaml/comm/store_communicator.h"

#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/units.h"
#include "lambdaml/comm/job_keys.h"
#include "lambdaml/comm/segments.h"

namespace lambdaml::comm {

using base::Error;
using base::ErrorCode;

StoreCommunicator::StoreCommunicator(store::Store& store, Membership membership)
    : store_(store), membership_(std::move(membership)), round_end_(membership_.end) {
  CheckMembership(membership_);
}

void StoreCommunicator::AllReduceSum(std::span<double> scalars, std::span<float> vector) {
  const base::ScopedTimer timer(&stats_.communicating);
  BeginRound();
  if (worker_count() > 1) SumOverRanks(scalars, vector);
}

std::vector<base::Blob> StoreCommunicator::AllGather(base::ByteSpan contribution) {
  const base::ScopedTimer timer(&stats_.communicating);
  BeginRound();
  std::vector<base::Blob> blobs(static_cast<size_t>(worker_count()));
  blobs[static_cast<size_t>(rank())] = base::Blob::Copy(contribution);
  if (worker_count() == 1) return blobs;

  const Route own = {wire::MessageKind::kGathered, rank(), kAllRanks, 0};
  const KeyedMessage message = {KeyOf(own), encoders_[0].EncodeBytes(IdOf(own), contribution)};
  retention_.Wrote(round_, PutMessages(store_, std::span(&message, 1), round_end_));

  std::vector<Route> routes;
  for (int peer = 0; peer < worker_count(); ++peer) {
    if (peer != rank()) routes.push_back({wire::MessageKind::kGathered, peer, kAllRanks, 0});
  }
  const std::vector<wire::Message> messages = ReceiveRoutes(routes);
  for (size_t i = 0; i < routes.size(); ++i) {
    blobs[static_cast<size_t>(routes[i].from_rank)] =
        base::Blob(messages[i].payload, messages[i].bytes.owner());
  }
  EveryRankHasContributed();
  return blobs;
}

void StoreCommunicator::Send(std::span<const Outgoing> messages) {
  if (encoders_.size() < messages.size()) encoders_.resize(messages.size());
  std::vector<KeyedMessage> entries;
  for (size_t i = 0; i < messages.size(); ++i) {
    const Outgoing& message = messages[i];
    entries.push_back(
        {KeyOf(message.route),
         encoders_[i].EncodeVector(IdOf(message.route), message.scalars, message.vector)});
  }
  retention_.Wrote(round_, PutMessages(store_, entries, round_end_));
}

std::vector<wire::Message> StoreCommunicator::Receive(std::span<const Incoming> expected) {
  std::vector<Route> routes;
  for (const Incoming& incoming : expected) routes.push_back(incoming.route);
  std::vector<wire::Message> messages = ReceiveRoutes(routes);
  for (size_t i = 0; i < expected.size(); ++i) {
    const wire::VectorView& vector = messages[i].vector;
    if (vector.scalars.size() == expected[i].scalar_count &&
        vector.element_count == expected[i].element_count) {
      continue;
    }
    throw Error(
        ErrorCode::kCorrupt,
        fmt::format("rank {}: {} has {} scalars and {} elements, expected {} and {}", rank(),
                    Describe(routes[i]), vector.scalars.size(), vector.element_count,
                    expected[i].scalar_count, expected[i].element_count));
  }
  return messages;
}

void StoreCommunicator::BeginRound() {
  ++round_;
  stats_.rounds = round_;
  if (worker_count() == 1) return;
  const base::Clock& clock = membership_.end.clock();
  round_start_ = clock.Now();
  round_end_ = base::Deadline::Earlier(base::Deadline::After(membership_.round_timeout, clock),
                                       membership_.end);
  if (encoders_.empty()) encoders_.resize(1);
}

std::string StoreCommunicator::KeyOf(const Route& route) const {
  if (route.to_rank == kAllRanks) return BroadcastKey(membership_.job, round_, route.from_rank);
  return InboxKey(membership_.job, route.to_rank, round_, route.from_rank);
}

wire::MessageId StoreCommunicator::IdOf(const Route& route) const {
  return {route.kind, round_, static_cast<uint32_t>(route.from_rank), route.chunk};
}

std::string StoreCommunicator::Describe(const Route& route) const {
  switch (route.kind) {
    case wire::MessageKind::kMerged:
      return fmt::format("merged vector of rank {} in round {}", route.from_rank, round_);
    default:
      return fmt::format("contribution of rank {} to round {}", route.from_rank, round_);
  }
}

std::vector<wire::Message> StoreCommunicator::ReceiveRoutes(std::span<const Route> routes) {
  DeleteWhatIsRead();  // now, because a rank that is about to wait has time
  std::vector<std::string> keys;
  for (const Route& route : routes) keys.push_back(KeyOf(route));
  auto blobs = WaitForMessages(store_, keys, round_end_);

  std::vector<wire::Message> messages;
  messages.reserve(routes.size());
  for (size_t i = 0; i < routes.size(); ++i) {
    if (!blobs[i]) ThrowMissing(routes[i]);
    const std::string origin = fmt::format("rank {}: {}", rank(), Describe(routes[i]));
    messages.push_back(wire::DecodeMessage(std::move(*blobs[i]), origin));
    if (messages.back().id == IdOf(routes[i])) continue;
    throw Error(ErrorCode::kCorrupt,
                fmt::format("{}: the message under {} says it is from rank {} in round {}", origin,
                            keys[i], messages.back().id.rank, messages.back().id.round));
  }
  return messages;
}

void StoreCommunicator::DeleteWhatIsRead() {
  const std::vector<std::string> keys = retention_.TakeReadBefore(contributed_round_);
  if (!keys.empty()) store_.Delete(keys, round_end_);
}

// A merged vector is late because its rank is, or because one of those is for which that rank
// waits; so look into its inbox before blaming it.
void StoreCommunicator::ThrowMissing(const Route& route) {
  const base::Clock& clock = membership_.end.clock();
  const double waited_s = base::Seconds(clock.Now() - round_start_);
  Route missing = route;
  if (route.kind == wire::MessageKind::kMerged) {
    const base::Deadline soon = base::Deadline::After(std::chrono::seconds(1), clock);
    for (int peer = 0; peer < worker_count(); ++peer) {
      const Route contribution = {wire::MessageKind::kContribution, peer, route.from_rank, 0};
      if (peer == route.from_rank || peer == rank()) continue;
      if (store_.Get(KeyOf(contribution), soon)) continue;
      missing = contribution;
      break;
    }
  }
  throw Error(ErrorCode::kDeadlineExceeded,
              fmt::format("rank {}: no {} within {}", rank(), Describe(missing),
                          base::FormatSeconds(waited_s)));
}

}  // namespace lambdaml::comm
