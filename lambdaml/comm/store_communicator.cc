#include "lambdaml/comm/store_communicator.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/units.h"
#include "lambdaml/comm/job_keys.h"
#include "lambdaml/comm/segments.h"
#include "lambdaml/net/retry.h"
#include "lambdaml/wire/rank_order_sum.h"

namespace lambdaml::comm {

using base::Error;
using base::ErrorCode;

namespace {

// How long a wait lasts, over a store that is not durable, before restarts are looked for; longer
// where messages take longer to arrive.
constexpr base::Duration kLookMin = std::chrono::seconds(1);
// And between two questions whether this invocation is left behind.
constexpr base::Duration kLookMax = std::chrono::seconds(8);

}  // namespace

StoreCommunicator::StoreCommunicator(store::Store& store, Membership membership)
    : store_(store),
      membership_(std::move(membership)),
      outbox_(store, {membership_.keeps_results, std::move(membership_.leftover_keys)}),
      restarts_at_start_(store.restarts()),
      was_here_(membership_.was_here),
      round_(membership_.rounds_before),
      round_end_(membership_.end),
      look_(kLookMin) {
  CheckMembership(membership_);
}

void StoreCommunicator::AllReduceSum(std::span<double> scalars, std::span<float> vector,
                                     wire::Precision precision) {
  const base::ScopedTimer timer(&stats_.communicating);
  BeginRound();
  precision_ = precision;
  if (worker_count() > 1) {
    RoundForWire(vector, "what it contributes to");
    SumOverRanks(ChunksOf(scalars, vector));
  } else {
    announced_ = membership_.announcement ? membership_.announcement() : Announcement{0};
  }
}

void StoreCommunicator::SumOverRanks(std::span<const Chunk> chunks) {
  if (was_here_ && TakeStandingResults(chunks)) return;
  Contribute(chunks);
  std::vector<Chunk> of_others;
  for (const Chunk& chunk : chunks) {
    if (chunk.merger == rank()) {
      Merge(chunk);
    } else {
      of_others.push_back(chunk);
    }
  }
  TakeResults(of_others);
}

void StoreCommunicator::Contribute(std::span<const Chunk> chunks) {
  std::vector<Outbox::VectorDraft> drafts;
  for (size_t i = 0; i < chunks.size(); ++i) {
    // From the next rank on, so that not all ranks write to rank 0 first.
    const Chunk& chunk = chunks[(i + static_cast<size_t>(rank()) + 1) % chunks.size()];
    if (chunk.merger == rank()) continue;
    const Route route = {wire::MessageKind::kContribution, rank(), chunk.merger, chunk.number};
    drafts.push_back({KeyOf(route), IdOf(route), chunk.scalars, chunk.vector, 0, precision_});
  }
  if (!drafts.empty()) outbox_.PutVectors(round_, drafts, round_end_);
}

void StoreCommunicator::Merge(const Chunk& own) {
  std::vector<Route> routes;
  for (int peer = 0; peer < worker_count(); ++peer) {
    if (peer == rank()) continue;
    routes.push_back({wire::MessageKind::kContribution, peer, rank(), own.number,
                      own.scalars.size(), own.vector.size(), precision_});
  }
  // Another invocation of this rank may be ahead, also of one that knows of none.
  std::function<bool()> is_settled;
  if (was_here_ || membership_.keeps_results) {
    is_settled = [&] { return TakeStandingResults(std::span(&own, 1)); };
  }
  const auto contributions = Receive(routes, is_settled);
  if (!contributions) {
    was_here_ = true;
    return;
  }
  EveryRankHasContributed();

  std::vector<wire::VectorView> terms;
  for (const wire::Message& contribution : *contributions) terms.push_back(contribution.vector);
  terms.insert(terms.begin() + rank(), wire::VectorView::Dense(own.scalars, own.vector));
  wire::SumInRankOrder(terms, own.scalars, own.vector);
  RoundForWire(own.vector, "the sum of");
  SendResult(own);
}

void StoreCommunicator::SendResult(const Chunk& own) {
  const Route route = ResultRoute(own);
  Outbox::VectorDraft draft = {KeyOf(route), IdOf(route), own.scalars, own.vector, 0, precision_};
  if (own.number != 0) {
    outbox_.PutVectors(round_, std::span(&draft, 1), round_end_);
    return;
  }
  announced_ = membership_.announcement ? membership_.announcement() : Announcement{0};
  draft.note = announced_;
  if (outbox_.PutVectorOnce(round_, draft, round_end_)) return;
  was_here_ = true;
  TakeResults(std::span(&own, 1));
}

void StoreCommunicator::TakeResults(std::span<const Chunk> chunks) {
  if (chunks.empty()) return;
  std::vector<Route> routes;
  for (const Chunk& chunk : chunks) routes.push_back(ResultRoute(chunk));
  const std::vector<wire::Message> sums = Receive(routes).value();
  EveryRankHasContributed();
  for (size_t i = 0; i < chunks.size(); ++i) {
    std::ranges::copy(sums[i].vector.scalars, chunks[i].scalars.begin());
    wire::ExpandVector(sums[i].vector, chunks[i].vector);
    if (chunks[i].number == 0) announced_ = sums[i].note;
  }
}

bool StoreCommunicator::TakeStandingResults(std::span<const Chunk> chunks) {
  for (const Chunk& chunk : chunks) {
    if (!store_.Get(KeyOf(ResultRoute(chunk)), round_end_)) return false;
  }
  TakeResults(chunks);
  return true;
}

std::vector<base::Blob> StoreCommunicator::AllGather(base::ByteSpan contribution) {
  const base::ScopedTimer timer(&stats_.communicating);
  BeginRound();
  std::vector<base::Blob> blobs(static_cast<size_t>(worker_count()));
  blobs[static_cast<size_t>(rank())] = base::Blob::Copy(contribution);
  if (worker_count() == 1) return blobs;

  const auto route_of = [](int peer) {
    return Route{wire::MessageKind::kGathered, peer, kAllRanks, 0};
  };
  const Route own = route_of(rank());
  const bool is_first =
      outbox_.PutBytesOnce(round_, KeyOf(own), IdOf(own), contribution, round_end_);
  was_here_ = was_here_ || !is_first;

  std::vector<Route> routes;
  for (int peer = 0; peer < worker_count(); ++peer) {
    if (peer != rank() || !is_first) routes.push_back(route_of(peer));
  }
  const std::vector<wire::Message> messages = Receive(routes).value();
  for (size_t i = 0; i < routes.size(); ++i) {
    blobs[static_cast<size_t>(routes[i].from_rank)] =
        base::Blob(messages[i].payload, messages[i].bytes.owner());
  }
  EveryRankHasContributed();
  return blobs;
}

void StoreCommunicator::DeleteReleased() {
  if (worker_count() == 1) return;
  outbox_.DeleteAllBefore(round_, round_end_);
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
    if (Look(reader, end, kLookMin)) return true;
    if (end.Expired()) return false;
  }
}

void StoreCommunicator::CheckLength(const wire::Message& message, const Route& route) const {
  const wire::VectorView& vector = message.vector;
  const bool is_as_long =
      vector.scalars.size() == route.scalar_count && vector.element_count == route.element_count;
  if (is_as_long && vector.precision == route.precision) return;
  if (is_as_long) {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("rank {}: {} is not of this rank's --exchange: the ranks run different "
                            "jobs",
                            rank(), Describe(route)));
  }
  throw Error(ErrorCode::kCorrupt,
              fmt::format("rank {}: {} has {} scalars and {} elements, expected {} and {}", rank(),
                          Describe(route), vector.scalars.size(), vector.element_count,
                          route.scalar_count, route.element_count));
}

void StoreCommunicator::RoundForWire(std::span<float> vector, std::string_view role) const {
  if (precision_ == wire::Precision::kFloat32) return;
  wire::RoundToFloat16(vector, fmt::format("rank {}: {} round {}", rank(), role, round_));
}

void StoreCommunicator::BeginRound() {
  ++round_;
  ++stats_.rounds;
  if (worker_count() == 1) return;
  const base::Clock& clock = membership_.end.clock();
  round_start_ = clock.Now();
  const base::Duration patience =
      round_ == 1 ? membership_.start_timeout.value_or(membership_.round_timeout)
                  : membership_.round_timeout;
  round_end_ = base::Deadline::Earlier(base::Deadline::After(patience, clock), membership_.end);
}

std::string StoreCommunicator::KeyOf(const Route& route) const {
  if (route.to_rank == kAllRanks) return BroadcastKey(membership_, round_, route.from_rank);
  return InboxKey(membership_, route.to_rank, round_, route.from_rank);
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

std::optional<std::vector<wire::Message>> StoreCommunicator::Receive(
    std::span<const Route> routes, const std::function<bool()>& is_settled) {
  // A rank that is about to wait has time.
  if (contributed_round_ > released_round_) outbox_.Release(released_round_);
  outbox_.DeleteBefore(contributed_round_, round_end_);
  std::vector<MessageReader::Expected> awaited;
  for (const Route& route : routes) {
    awaited.push_back({KeyOf(route), wire::DenseSizeBytes(route.scalar_count, route.element_count,
                                                          route.precision)});
  }
  MessageReader reader(store_, std::move(awaited));
  if (!WaitFor(reader, is_settled)) return std::nullopt;
  auto blobs = reader.Take();

  std::vector<wire::Message> messages;
  messages.reserve(routes.size());
  for (size_t i = 0; i < routes.size(); ++i) {
    if (!blobs[i]) {
      if (round_ == 1 && membership_.start_timeout) ThrowAbsent(routes, blobs);
      ThrowMissing(routes[i]);
    }
    const std::string origin = fmt::format("rank {}: {}", rank(), Describe(routes[i]));
    messages.push_back(wire::DecodeMessage(std::move(*blobs[i]), origin));
    if (messages.back().id != IdOf(routes[i])) {
      throw Error(
          ErrorCode::kCorrupt,
          fmt::format("{}: the message under {} says it is from rank {} in round {}", origin,
                      KeyOf(routes[i]), messages.back().id.rank, messages.back().id.round));
    }
    CheckLength(messages.back(), routes[i]);
  }
  return messages;
}

bool StoreCommunicator::WaitFor(MessageReader& reader, const std::function<bool()>& is_settled) {
  const bool is_durable = store_.capabilities().is_durable;
  if (is_durable && !is_settled && !membership_.is_left_behind) {
    reader.Wait(round_end_);
    return true;
  }
  const bool grows = is_durable && !was_here_;
  base::Duration pause = kLookMin;
  bool is_left_behind = false;
  while (true) {
    outbox_.RestoreLost(round_end_);
    if (Look(reader, round_end_, pause)) return true;
    // With one more look after the answer: to who is only late, all that it needs stands by then.
    if (is_left_behind) ThrowLeftBehind();
    if (round_end_.Expired()) return true;
    if (is_settled && is_settled()) return false;
    is_left_behind = membership_.is_left_behind && membership_.is_left_behind();
    if (grows) pause = is_left_behind ? kLookMin : std::min(2 * pause, kLookMax);
  }
}

bool StoreCommunicator::Look(MessageReader& reader, const base::Deadline& end,
                             base::Duration length) {
  const base::Clock& clock = end.clock();
  length = std::max(length, look_);
  try {
    const bool is_complete =
        reader.Wait(base::Deadline::Earlier(end, base::Deadline::After(length, clock)));
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

void StoreCommunicator::ThrowAbsent(std::span<const Route> routes,
                                    std::span<const std::optional<base::Blob>> blobs) const {
  std::string absent;
  int absent_count = 0;
  for (size_t i = 0; i < routes.size(); ++i) {
    if (blobs[i]) continue;
    ++absent_count;
    absent += fmt::format("{}{}", absent.empty() ? "" : ", ", routes[i].from_rank);
  }
  const double waited_s = base::Seconds(membership_.end.clock().Now() - round_start_);
  throw Error(
      ErrorCode::kDeadlineExceeded,
      fmt::format("rank {}: {} of {} workers have not arrived within {}: missing rank {}", rank(),
                  absent_count, worker_count(), base::FormatSeconds(waited_s), absent));
}

void StoreCommunicator::ThrowLeftBehind() const {
  throw Error(ErrorCode::kUnavailable,
              fmt::format("rank {}: the job has gone on from a newer state than this invocation's, "
                          "which is in round {} of generation {}",
                          rank(), round_, membership_.generation));
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
