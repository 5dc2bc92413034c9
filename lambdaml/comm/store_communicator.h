// What all collectives over a store share: rounds, deadlines, messages, clean-up and AllGather.
// With one worker nothing is asked of the store at all. After an error the communicator is of no
// further use: its rank is no longer in step with the others.
//
// Over a store that may lose what it holds, a rank that waits looks up once a second whether the
// service has started anew, and puts again what its peers may still need (see Outbox).
//
// AllGather: each rank puts its blob for all and reads those of the others. Requests per rank:
// 1 put, W-1 gets, at most 1 delete.
//
// Leave: nothing over a durable store. Otherwise each rank tells rank 0 that it has read all it
// needs, and stays until rank 0 says that all have: an empty round of the pattern reduce.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
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

  void AllReduceSum(std::span<double> scalars, std::span<float> vector) final;
  std::vector<base::Blob> AllGather(base::ByteSpan contribution) final;
  void Leave() final;

 protected:
  static constexpr int kAllRanks = -1;

  // Who writes what for whom in the present round.
  struct Route {
    wire::MessageKind kind = wire::MessageKind::kContribution;
    int from_rank = 0;
    int to_rank = kAllRanks;
    uint32_t chunk = 0;
  };
  struct Outgoing {
    Route route;
    std::span<const double> scalars;
    std::span<const float> vector;
  };
  struct Incoming {
    Route route;
    uint64_t scalar_count = 0;  // both 0 if the message carries plain bytes
    uint64_t element_count = 0;
  };

  // The sum of one round among at least two ranks.
  virtual void SumOverRanks(std::span<double> scalars, std::span<float> vector) = 0;

  void Send(std::span<const Outgoing> messages);

  // Waits for all messages and checks that they are what the routes and counts say; result i
  // belongs to expected[i]. Errors: kDeadlineExceeded, naming the first missing rank and the round;
  // kCorrupt.
  std::vector<wire::Message> Receive(std::span<const Incoming> expected);

  // To be called once this rank holds a result of the present round that depends on the
  // contributions of all ranks (see Outbox).
  void EveryRankHasContributed() { contributed_round_ = round_; }

 private:
  void BeginRound();
  std::string KeyOf(const Route& route) const;
  wire::MessageId IdOf(const Route& route) const;
  std::string Describe(const Route& route) const;
  std::vector<wire::Message> ReceiveAny(std::span<const Incoming> expected);
  // reader.Wait, but over a store that is not durable for one look only. Returns whether all is
  // complete.
  bool Look(MessageReader& reader, const base::Deadline& end);
  // Waits for all, at most until the round's end; after a restart of the service at most for
  // `patience`, because the writer may be gone. Returns whether they came.
  bool WaitInLeave(std::span<const Route> routes, base::Duration patience);
  [[noreturn]] void ThrowMissing(const Route& route);

  store::Store& store_;
  Membership membership_;
  Outbox outbox_;
  uint64_t restarts_at_start_;  // of the service, when this rank joined
  CommStats stats_;
  uint64_t round_ = 0;              // the present one, counted from 1
  uint64_t contributed_round_ = 0;  // the last one to which every rank is known to have contributed
  base::TimePoint round_start_;
  base::Deadline round_end_;
  base::Duration look_;                       // how long one lasts
  std::optional<base::Deadline> outage_end_;  // since the service has not answered a look
};

}  // namespace lambdaml::comm
