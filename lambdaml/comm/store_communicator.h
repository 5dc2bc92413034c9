// Collectives over a store. With one worker nothing is asked of the store at all. After an error
// the communicator is of no further use: its rank is no longer in step with the others.
//
// AllReduceSum: the scalars and the vector are cut into chunks, each of which one rank merges; the
// pattern says which (ChunksOf). A rank
//
//   1. puts its contribution to every chunk it does not merge itself into the inbox of the merger,
//   2. waits for all contributions to the chunk it merges, if any, adds them in rank order, and
//      puts the sum for all,
//   3. waits for the sums of the other chunks.
//
// Rank 0 merges chunk 0, and its announcement travels with that sum. Since it depends on the clock,
// another invocation of rank 0 might announce something else; so this one message is put only where
// none stands, and who comes late takes what stands.
//
// An invocation of a rank that was here before looks first whether a round's sums stand, and takes
// them: its peers have gone on, and what they contributed may be deleted. It learns that it was
// here from its own gathered blob, or is told (Membership::was_here).
//
// Over a store that may lose what it holds, a rank that waits looks up once a second whether the
// service has started anew, and puts again what its peers may still need (see Outbox). Over any, it
// asks whether it is left behind (Membership::is_left_behind): after a second, then after twice as
// long each time, up to 8 s, since a look that begins anew polls more closely.
//
// AllGather: each rank puts its blob for all, where none stands, and reads those of the others.
// Requests per rank: 1 put, W-1 gets, at most 1 delete.
//
// Leave: nothing over a durable store. Otherwise each rank tells rank 0 that it has read all it
// needs, and stays until rank 0 says that all have: an empty round of the pattern reduce.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/comm/outbox.h"
#include "lambdaml/comm/segments.h"
#include "lambdaml/store/store.h"
#include "lambdaml/wire/vector_codec.h"

namespace lambdaml::comm {

class StoreCommunicator : public Communicator {
 public:
  // The store must live as long as the communicator. Errors: as CheckMembership.
  StoreCommunicator(store::Store& store, Membership membership);

  int rank() const final { return membership_.rank; }
  int worker_count() const final { return membership_.worker_count; }
  CommStats stats() const final { return stats_; }
  Announcement announced() const final { return announced_; }
  uint64_t rounds() const final { return round_; }
  void ReleaseResults() final { released_round_ = round_; }
  uint64_t kept_bytes() const final { return outbox_.kept_bytes(); }
  void DeleteReleased() final;

  void AllReduceSum(std::span<double> scalars, std::span<float> vector,
                    wire::Precision precision) final;
  std::vector<base::Blob> AllGather(base::ByteSpan contribution) final;
  void Leave() final;

 protected:
  // A part of what is summed, and who merges it. Chunk 0 is rank 0's.
  struct Chunk {
    int merger = 0;
    uint32_t number = 0;
    std::span<double> scalars;
    std::span<float> vector;
  };

  // The chunks of a round, by number: together all of the scalars and the vector, and at most one
  // for each merger. Some may be empty; all are sent all the same, because they also prove who has
  // contributed (see Outbox).
  virtual std::vector<Chunk> ChunksOf(std::span<double> scalars, std::span<float> vector) const = 0;

 private:
  static constexpr int kAllRanks = -1;

  // Who writes what for whom in the present round.
  struct Route {
    wire::MessageKind kind = wire::MessageKind::kContribution;
    int from_rank = 0;
    int to_rank = kAllRanks;
    uint32_t chunk = 0;
    uint64_t scalar_count = 0;  // both 0 if the message carries plain bytes
    uint64_t element_count = 0;
    wire::Precision precision = wire::Precision::kFloat32;
  };
  Route ResultRoute(const Chunk& chunk) const {
    return {
        wire::MessageKind::kMerged, chunk.merger,        kAllRanks,  chunk.number,
        chunk.scalars.size(),       chunk.vector.size(), precision_,
    };
  }

  void BeginRound();
  void SumOverRanks(std::span<const Chunk> chunks);
  // Sends this rank's contributions to what others merge.
  void Contribute(std::span<const Chunk> chunks);
  void Merge(const Chunk& own);
  // Replaces elements by what is left of them in a message of this round's precision.
  void RoundForWire(std::span<float> vector, std::string_view role) const;
  void SendResult(const Chunk& own);
  // Waits for the sums of the chunks, and puts them there.
  void TakeResults(std::span<const Chunk> chunks);
  // TakeResults if they all stand; nothing else otherwise.
  bool TakeStandingResults(std::span<const Chunk> chunks);

  // Waits for all messages; the result i belongs to routes[i]. If is_settled is given it is asked
  // now and then, and the result is nothing once it is true. Errors: kDeadlineExceeded, naming the
  // first missing rank and the round; kUnavailable if this invocation is left behind; kCorrupt,
  // also if a message is not as long as its route says.
  std::optional<std::vector<wire::Message>> Receive(std::span<const Route> routes,
                                                    const std::function<bool()>& is_settled = {});
  void CheckLength(const wire::Message& message, const Route& route) const;

  // To be called once this rank holds a result of the present round that depends on the
  // contributions of all ranks (see Outbox).
  void EveryRankHasContributed() { contributed_round_ = round_; }

  std::string KeyOf(const Route& route) const;
  wire::MessageId IdOf(const Route& route) const;
  std::string Describe(const Route& route) const;
  // Waits as Receive does. False: is_settled, instead of all messages.
  bool WaitFor(MessageReader& reader, const std::function<bool()>& is_settled);
  // reader.Wait, but for one look only where something else may have to be looked after. Returns
  // whether all is complete.
  bool Look(MessageReader& reader, const base::Deadline& end, base::Duration length);
  // Waits for all, at most until the round's end; after a restart of the service at most for
  // `patience`, because the writer may be gone. Returns whether they came.
  bool WaitInLeave(std::span<const Route> routes, base::Duration patience);
  [[noreturn]] void ThrowLeftBehind() const;
  [[noreturn]] void ThrowMissing(const Route& route);
  // The same for the first round of a generation: names all that are missing.
  [[noreturn]] void ThrowAbsent(std::span<const Route> routes,
                                std::span<const std::optional<base::Blob>> blobs) const;

  store::Store& store_;
  Membership membership_;
  Outbox outbox_;
  uint64_t restarts_at_start_;  // of the service, when this rank joined
  CommStats stats_;
  bool was_here_;               // another invocation of this rank is, or was, in its place
  Announcement announced_ = 0;  // in the last sum
  uint64_t round_;              // the present one, counted from 1
  wire::Precision precision_ = wire::Precision::kFloat32;  // of its vectors
  uint64_t contributed_round_ = 0;  // the last one to which every rank is known to have contributed
  uint64_t released_round_ = 0;     // the last one through which no rank goes again
  base::TimePoint round_start_;
  base::Deadline round_end_;
  base::Duration look_;                       // how long one lasts at least
  std::optional<base::Deadline> outage_end_;  // since the service has not answered a look
};

}  // namespace lambdaml::comm
