#include "lambdaml/comm/store_communicator.h"

#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/units.h"
#include "lambdaml/comm/job_keys.h"
#include "lambdaml/comm/segments.h"
#include "lambdaml/net/retry.h"

namespace lambdaml::comm {

using base::Error;
using base::ErrorCode;

namespace {

// How long a wait lasts, over a store that is not durable, before restarts are looked for; longer
// where messages take longer to arrive.
constexpr base::Duration kLookMin = std::chrono::seconds(1);

}  // namespace

StoreCommunicator::StoreCommunicator(store::Store& store, Membership membership)
    : store_(store),
      membership_(std::move(membership)),
      outbox_(store),
      restarts_at_start_(store.restarts()),
      round_end_(membership_.end),
      look_(kLookMin) {
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
  outbox_.PutBytes(round_, KeyOf(own), IdOf(own), contribution, round_end_);

  std::vector<Incoming> expected;
  for (int peer = 0; peer < worker_count(); ++peer) {
    if (peer != rank()) expected.push_back({{wire::MessageKind::kGathered, peer, kAllRanks, 0}});
  }
  const std::vector<wire::Message> messages = ReceiveAny(expected);
  for (size_t i = 0; i < expected.size(); ++i) {
    blobs[static_cast<size_t>(expected[i].route.from_rank)] =
        base::Blob(messages[i].payload, messages[i].bytes.owner());
  }
  EveryRankHasContributed();
  return blobs;
}

void StoreCommunicator::Leave() {
  if (worker_count() == 1 || store_.capabilities().is_durable) return;
  const base::ScopedTimer timer(&stats_.communicating);
  BeginRound();
  // Nobody else waits for rank 0, so it has no reason to doubt that the others are there. They
  // doubt it after a restart as soon as any rank that lives must have come back to the service.
  const auto bye = Route{wire::MessageKind::kGathered, 0, kAllRanks, 0};
  if (rank() == 0) {
    std::vector<Route> done;
    for (int peer = 1; peer < worker_count(); ++peer) {
      done.push_back({wire::MessageKind::kGathered, peer, 0, 0});
    }
    if (!WaitInLeave(done, membership_.round_timeout)) return;
    outbox_.DeleteAll(round_end_);
    outbox_.PutBytes(round_, KeyOf(bye), IdOf(bye), {}, round_end_);
  } else {
    const Route done = {wire::MessageKind::kGathered, rank(), 0, 0};
    outbox_.PutBytes(round_, KeyOf(done), IdOf(done), {}, round_end_);
    if (WaitInLeave(std::span(&bye, 1), net::kOutageMax)) outbox_.DeleteAll(round_end_);
  }
}

bool StoreCommunicator::WaitInLeave(std::span<const Route> routes, base::Duration patience) {
  std::vector<MessageReader::Expected> keys;
  for (const Route& route : routes) keys.push_back({KeyOf(route)});
  MessageReader reader(store_, std::move(keys));
  base::Deadline end = round_end_;
  while (true) {
    if (outbox_.RestoreLost(round_end_)) {
      end = base::Deadline::Earlier(end, base::Deadline::After(patience, end.clock()));
    }
    if (Look(reader, end)) return true;
    if (end.Expired()) return false;
  }
}

void StoreCommunicator::Send(std::span<const Outgoing> messages) {
  std::vector<Outbox::VectorDraft> drafts;
  for (const Outgoing& message : messages) {
    drafts.push_back({KeyOf(message.route), IdOf(message.route), message.scalars, message.vector});
  }
  outbox_.PutVectors(round_, drafts, round_end_);
}

std::vector<wire::Message> StoreCommunicator::Receive(std::span<const Incoming> expected) {
  std::vector<wire::Message> messages = ReceiveAny(expected);
  for (size_t i = 0; i < expected.size(); ++i) {
    const wire::VectorView& vector = messages[i].vector;
    if (vector.scalars.size() == expected[i].scalar_count &&
        vector.element_count == expected[i].element_count) {
      continue;
    }
    throw Error(
        ErrorCode::kCorrupt,
        fmt::format("rank {}: {} has {} scalars and {} elements, expected {} and {}", rank(),
                    Describe(expected[i].route), vector.scalars.size(), vector.element_count,
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

std::vector<wire::Message> StoreCommunicator::ReceiveAny(std::span<const Incoming> expected) {
  outbox_.DeleteBefore(contributed_round_, round_end_);  // a rank that is about to wait has time
  std::vector<MessageReader::Expected> awaited;
  for (const Incoming& incoming : expected) {
    awaited.push_back({KeyOf(incoming.route),
                       wire::DenseSizeBytes(incoming.scalar_count, incoming.element_count)});
  }
  MessageReader reader(store_, std::move(awaited));
  do {
    outbox_.RestoreLost(round_end_);
  } while (!Look(reader, round_end_) && !round_end_.Expired());
  auto blobs = reader.Take();

  std::vector<wire::Message> messages;
  messages.reserve(expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const Route& route = expected[i].route;
    if (!blobs[i]) ThrowMissing(route);
    const std::string origin = fmt::format("rank {}: {}", rank(), Describe(route));
    messages.push_back(wire::DecodeMessage(std::move(*blobs[i]), origin));
    if (messages.back().id == IdOf(route)) continue;
    throw Error(ErrorCode::kCorrupt,
                fmt::format("{}: the message under {} says it is from rank {} in round {}", origin,
                            KeyOf(route), messages.back().id.rank, messages.back().id.round));
  }
  return messages;
}

bool StoreCommunicator::Look(MessageReader& reader, const base::Deadline& end) {
  if (store_.capabilities().is_durable) return reader.Wait(end);
  const base::Clock& clock = end.clock();
  try {
    const bool is_complete =
        reader.Wait(base::Deadline::Earlier(end, base::Deadline::After(look_, clock)));
    outage_end_.reset();
    return is_complete;
  } catch (const Error& error) {
    // The end of a look is none of the wait: a message that had begun to arrive needs longer looks,
    // and a service that is away has as much time to come back as it has in any other call.
    if (end.Expired()) throw;
    if (error.code() == ErrorCode::kDeadlineExceeded) {
      look_ *= 2;
      return false;
    }
    if (error.code() != ErrorCode::kUnavailable) throw;
    if (!outage_end_) outage_end_ = base::Deadline::After(net::kOutageMax, clock);
    if (outage_end_->Expired()) throw;
    return false;
  }
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
  const uint64_t restarts = store_.restarts() - restarts_at_start_;
  const std::string restarted =
      restarts == 0 ? ""
                    : fmt::format("; {} has started anew {} time{} since this rank joined",
                                  store_.url(), restarts, restarts == 1 ? "" : "s");
  throw Error(ErrorCode::kDeadlineExceeded,
              fmt::format("rank {}: no {} within {}{}", rank(), Describe(missing),
                          base::FormatSeconds(waited_s), restarted));
}

}  // namespace lambdaml::comm
