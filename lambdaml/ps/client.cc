#include "lambdaml/ps/client.h"

#include <algorithm>
#include <fmt/format.h>
#include <type_traits>
#include <utility>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"
#include "lambdaml/net/retry.h"
#include "lambdaml/net/tcp.h"
#include "lambdaml/ps/gathered.h"
#include "lambdaml/wire/vector_codec.h"

namespace lambdaml::ps {

using base::Error;
using base::ErrorCode;
using wire::MessageKind;

namespace {

constexpr int kLaneCount = 4;
// A wait is begun only if so much time is left, so that the server's answer arrives in time.
constexpr base::Duration kAnswerTime = std::chrono::milliseconds(50);

uint32_t SliceCountOf(size_t length) {
  return static_cast<uint32_t>(std::max<size_t>(1, (length + kSliceLength - 1) / kSliceLength));
}

template <typename T>
std::span<T> PartOf(std::span<T> vector, uint32_t slice) {
  const size_t begin = std::min(vector.size(), slice * kSliceLength);
  return vector.subspan(begin, std::min(kSliceLength, vector.size() - begin));
}

// The parts, and so the encoder and the vector, outlive the call.
void SetMessage(SliceCall& call, const wire::MessageParts& parts) {
  call.message.emplace(parts.head, nullptr);
  call.message_rest = parts.payload;
}

wire::Message Decode(const SliceCall& call, const SliceAnswer& answer, MessageKind kind) {
  const std::string origin =
      fmt::format("job {}, round {}, slice {} of the parameter server's answer", call.job,
                  call.round.round, call.slice);
  wire::Message message =
      wire::DecodeMessage(answer.message, origin, answer.message_checksum, answer.elements);
  if (message.id.kind != kind || message.id.part != call.slice) {
    throw Error(ErrorCode::kCorrupt, fmt::format("{}: it answers another question", origin));
  }
  return message;
}

// Checks the counts, and copies unless the elements are there already.
void TakeVector(const SliceCall& call, const wire::VectorView& from, std::span<double> scalars,
                std::span<float> vector) {
  if (from.scalars.size() != scalars.size() || from.element_count != vector.size()) {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("job {}, round {}: the parameter server's answer has {} scalars and {} "
                            "elements, not {} and {}",
                            call.job, call.round.round, from.scalars.size(), from.element_count,
                            scalars.size(), vector.size()));
  }
  std::ranges::copy(from.scalars, scalars.begin());
  if (vector.empty() || from.values.data() != vector.data()) wire::ExpandVector(from, vector);
}

}  // namespace

Client::Client(ServerAddress address, JobSpec spec, int rank)
    : address_(std::move(address)), spec_(std::move(spec)), rank_(rank) {}

Client::~Client() = default;

std::string Client::place() const { return net::PlaceName(address_.host, address_.port); }

ClientCounters Client::counters() const {
  return {.requests = meter_.requests.load(),
          .contributions = meter_.contributions.load(),
          .retries = retries_.load(),
          .bytes_sent = meter_.bytes_sent.load(),
          .bytes_received = meter_.bytes_received.load(),
          .waiting = base::Duration(waiting_ns_.load())};
}

// ---- Connections ----

std::unique_ptr<Connection> Client::Take(const base::Deadline& deadline) {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Connection> connection = std::move(idle_.back());
      idle_.pop_back();
      return connection;
    }
  }
  auto connection = std::make_unique<Connection>(address_, meter_, deadline);
  const JobState state = connection->OpenJob(spec_, deadline);
  const std::lock_guard lock(mutex_);
  if (!incarnation_) incarnation_ = state.incarnation;
  if (*incarnation_ != state.incarnation) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("parameter server {}: it has started anew and lost job {}; give it "
                            "--dir, so that it keeps what it holds, and start the job anew",
                            place(), spec_.job));
  }
  return connection;
}

void Client::GiveBack(std::unique_ptr<Connection> connection) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(connection));
}

template <typename Work>
auto Client::Repeat(const base::Deadline& deadline, const Work& work) {
  net::Retry retry(deadline, base::MixSeed(base::Checksum64(base::AsBytes(spec_.job)),
                                           static_cast<uint64_t>(rank_)));
  for (;;) {
    std::unique_ptr<Connection> connection;
    try {
      connection = Take(deadline);
      if constexpr (std::is_void_v<decltype(work(*connection))>) {
        work(*connection);
        return GiveBack(std::move(connection));
      } else {
        auto result = work(*connection);
        GiveBack(std::move(connection));
        return result;
      }
    } catch (const Error& error) {
      if (connection && connection->is_usable()) GiveBack(std::move(connection));
      if (error.code() != ErrorCode::kUnavailable || !retry.Again()) throw;
    }
    retries_.fetch_add(1);
    const std::lock_guard lock(mutex_);
    idle_.clear();  // they broke with this one
  }
}

JobState Client::Open(const base::Deadline& deadline) {
  return Repeat(deadline,
                [&](Connection& connection) { return connection.OpenJob(spec_, deadline); });
}

void Client::Release(const RoundId& before, const base::Deadline& deadline) {
  Repeat(deadline,
         [&](Connection& connection) { connection.Release(spec_.job, before, deadline); });
}

// ---- Rounds ----

SliceCall Client::CallOf(const RoundId& round, uint32_t slice, size_t length) const {
  return {.job = spec_.job,
          .round = round,
          .rank = rank_,
          .slice = slice,
          .slice_count = SliceCountOf(length)};
}

void Client::ForEachSlice(size_t length, const std::function<void(uint32_t)>& work) {
  const uint32_t count = SliceCountOf(length);
  if (count == 1) return work(0);
  if (!lanes_) lanes_ = std::make_unique<base::ThreadPool>(kLaneCount);
  lanes_->ForEachBlock(count, [&](size_t slice) { work(static_cast<uint32_t>(slice)); });
}

SliceAnswer Client::Exchange(SliceCall call, Aim aim, AnswerPlace answer_place,
                             const base::Deadline& deadline) {
  SliceCall look = call;  // waits without contributing
  look.message.reset();
  look.message_rest = {};
  bool is_missing = true;
  for (;;) {
    const base::Duration left = deadline.Remaining() - kAnswerTime;
    const bool may_wait = aim == Aim::kContribute && left > base::Duration::zero();
    SliceCall& next = is_missing ? call : look;
    next.wait = may_wait ? std::min(kWaitMax, left) : base::Duration::zero();
    look.wait = next.wait;
    SliceAnswer answer = Repeat(deadline, [&](Connection& connection) {
      // When an answer has begun to come, the contribution that stood in its place is gone; but
      // then the round is finished, and needs it no more.
      const SliceCall& request = answer_place.is_touched ? look : next;
      return connection.Call(SliceMethod::kExchange, request, deadline, &answer_place);
    });
    if (!answer.is_complete && answer_place.is_touched) {
      throw Error(ErrorCode::kUnavailable,
                  fmt::format("parameter server {}: it has lost the result of round {} of job {} "
                              "while it sent it",
                              place(), call.round.round, call.job));
    }
    if (answer.is_complete || !may_wait) return answer;
    // The contribution is there, unless the server has started anew meanwhile.
    is_missing = std::ranges::find(answer.missing_ranks, rank_) != answer.missing_ranks.end();
  }
}

RoundOutcome Client::ReduceSum(const RoundId& round, uint64_t announcement,
                               std::span<double> scalars, std::span<float> vector,
                               const base::Deadline& deadline, wire::Precision precision) {
  return Reduce(round, Aim::kContribute, announcement, scalars, vector, deadline, precision);
}

RoundOutcome Client::TryResult(const RoundId& round, std::span<double> scalars,
                               std::span<float> vector, const base::Deadline& deadline,
                               wire::Precision precision) {
  return Reduce(round, Aim::kTry, 0, scalars, vector, deadline, precision);
}

RoundOutcome Client::Reduce(const RoundId& round, Aim aim, uint64_t announcement,
                            std::span<double> scalars, std::span<float> vector,
                            const base::Deadline& deadline, wire::Precision precision) {
  base::Duration elapsed = {};
  RoundOutcome outcome = {.is_complete = true};
  {
    const base::ScopedTimer timer(&elapsed);
    std::mutex outcome_mutex;
    ForEachSlice(vector.size(), [&](uint32_t slice) {
      const std::span<double> slice_scalars = slice == 0 ? scalars : std::span<double>();
      const std::span<float> part = PartOf(vector, slice);
      SliceCall call = CallOf(round, slice, vector.size());
      call.announcement = announcement;
      wire::MessageEncoder encoder;
      if (aim == Aim::kContribute) {
        const wire::MessageId id = {MessageKind::kContribution, round.round,
                                    static_cast<uint32_t>(rank_), slice};
        SetMessage(call, encoder.EncodeVectorInParts(id, slice_scalars, part, 0, precision));
      }
      const SliceAnswer answer =
          Exchange(call, aim, {.scalar_count = slice_scalars.size(), .elements = part}, deadline);
      if (answer.is_complete) {
        TakeVector(call, Decode(call, answer, MessageKind::kMerged).vector, slice_scalars, part);
      }
      const std::lock_guard lock(outcome_mutex);
      if (!answer.is_complete) {
        outcome.is_complete = false;
        outcome.missing_ranks = answer.missing_ranks;
      }
      if (slice == 0) outcome.announcement = answer.announcement;
    });
  }
  waiting_ns_.fetch_add(elapsed.count());
  return outcome;
}

RoundOutcome Client::Gather(const RoundId& round, base::ByteSpan contribution,
                            std::vector<base::Blob>* blobs, const base::Deadline& deadline) {
  base::Duration elapsed = {};
  RoundOutcome outcome;
  {
    const base::ScopedTimer timer(&elapsed);
    wire::MessageEncoder encoder;
    const wire::MessageId id = {MessageKind::kGathered, round.round, static_cast<uint32_t>(rank_),
                                0};
    SliceCall call = CallOf(round, 0, 0);
    call.message.emplace(encoder.EncodeBytes(id, contribution), nullptr);
    const SliceAnswer answer = Exchange(call, Aim::kContribute, {}, deadline);
    outcome = {answer.is_complete, answer.missing_ranks, answer.announcement};
    if (answer.is_complete) {
      const wire::Message message = Decode(call, answer, MessageKind::kGathered);
      *blobs = DecodeGathered({message.payload, message.bytes.owner()}, "gathered blobs");
      if (blobs->size() != static_cast<size_t>(spec_.worker_count)) {
        throw Error(ErrorCode::kCorrupt,
                    fmt::format("parameter server {}: it gathered {} blobs of {} ranks", place(),
                                blobs->size(), spec_.worker_count));
      }
    }
  }
  waiting_ns_.fetch_add(elapsed.count());
  return outcome;
}

// ---- The shared model ----

uint64_t Client::JoinModel(std::span<float> model, const base::Deadline& deadline) {
  return Merge(0, model, model, deadline);
}

uint64_t Client::MergeModel(uint64_t number, std::span<const float> change, std::span<float> model,
                            const base::Deadline& deadline) {
  return Merge(number, change, model, deadline);
}

uint64_t Client::Merge(uint64_t number, std::span<const float> change, std::span<float> model,
                       const base::Deadline& deadline) {
  std::mutex merges_mutex;
  uint64_t merges_min = UINT64_MAX;
  ForEachSlice(model.size(), [&](uint32_t slice) {
    SliceCall call = CallOf({0, number}, slice, model.size());
    wire::MessageEncoder encoder;
    const wire::MessageId id = {MessageKind::kModel, number, static_cast<uint32_t>(rank_), slice};
    SetMessage(call, encoder.EncodeVectorInParts(id, {}, PartOf(change, slice)));
    const SliceAnswer answer = Repeat(deadline, [&](Connection& connection) {
      return connection.Call(SliceMethod::kMerge, call, deadline);
    });
    const wire::Message message = Decode(call, answer, MessageKind::kModel);
    std::vector<double> merges(static_cast<size_t>(spec_.worker_count));
    TakeVector(call, message.vector, merges, PartOf(model, slice));
    const std::lock_guard lock(merges_mutex);
    merges_min = std::min(merges_min, static_cast<uint64_t>(merges[static_cast<size_t>(rank_)]));
  });
  return merges_min;
}

void CloseJob(const ServerAddress& address, const std::string& job,
              const base::Deadline& deadline) {
  ClientMeter meter;
  Connection(address, meter, deadline).CloseJob(job, deadline);
}

std::string FetchStatus(const ServerAddress& address, const base::Deadline& deadline) {
  ClientMeter meter;
  return Connection(address, meter, deadline).Status(deadline);
}

}  // namespace lambdaml::ps
