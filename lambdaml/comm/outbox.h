// What this rank has written, until nobody can need it any more: the one place that decides when
// messages are deleted and, where the store may lose them, which are put again.
//
// Invariant: once a rank has a result of round m that depends on every rank's contribution to m,
// every rank has read all it ever will of the rounds before m.
// Proof: a rank contributes to m only after it has returned from round m-1, hence with all its
// reads of rounds 0..m-1 behind it (rounds follow each other, and a round that failed has no
// successor). A result that depends on all contributions to m was made after all of them.
// So the rank then deletes what it wrote in rounds < m itself; nobody deletes another rank's keys.
//
// The other way round: what a peer may still wait for stands here. A peer that waits in round m has
// not contributed to m+1, so no rank has a result that depends on all contributions to m+1, and all
// keep what they wrote in m. A rank therefore holds the messages of two rounds at most. If the
// store is not durable it holds their bytes too, and puts them all again when the service has
// started anew since before the oldest of them was put: whatever was acknowledged and lost is among
// them. Messages are immutable, so one that was not lost is only written again. As every rank that
// waits does so, no loss stops a job; the end of a job takes a farewell (StoreCommunicator::Leave).
//
// What a round came to (merged vectors, gathered blobs) can be kept longer, until Release, for
// ranks that are invoked again and go through the rounds once more. If the store is not durable
// only the store holds it then.
//
// Requests: those of PutMessages. Deletes are gathered until they are worth a request: a job of
// short vectors deletes once in some 30 rounds, one of long vectors in each.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/store/store.h"
#include "lambdaml/wire/vector_codec.h"

namespace lambdaml::comm {

// Threads: one. Errors: those of the store.
class Outbox {
 public:
  struct VectorDraft {
    std::string key;
    wire::MessageId id;
    std::span<const double> scalars;
    std::span<const float> vector;
    uint16_t note = 0;
    wire::Precision precision = wire::Precision::kFloat32;
  };
  struct Options {
    bool keeps_results = false;
    std::vector<std::string> leftover_keys = {};  // to be deleted with the results of round 0
  };

  // The store must live as long as the outbox.
  Outbox(store::Store& store, Options options);

  // Encodes and puts messages of one round, in parallel where the store gains by it; rounds do not
  // decrease.
  void PutVectors(uint64_t round, std::span<const VectorDraft> drafts,
                  const base::Deadline& deadline);
  void PutBytes(uint64_t round, const std::string& key, const wire::MessageId& id,
                base::ByteSpan payload, const base::Deadline& deadline);

  // The same for one message that another invocation of this rank may have put before: that one
  // stands then, and the result is false.
  bool PutVectorOnce(uint64_t round, const VectorDraft& draft, const base::Deadline& deadline);
  bool PutBytesOnce(uint64_t round, const std::string& key, const wire::MessageId& id,
                    base::ByteSpan payload, const base::Deadline& deadline);

  // Every rank has contributed to `round`: deletes, now or later, what was written before it.
  void DeleteBefore(uint64_t round, const base::Deadline& deadline);
  // Nobody goes through the rounds up to this one again: their results are deleted with what
  // DeleteBefore finds.
  void Release(uint64_t round);
  // Of results that are kept for nobody but ranks that are invoked again.
  uint64_t kept_bytes() const { return kept_bytes_; }
  // As DeleteBefore, but now, and results as well.
  void DeleteAllBefore(uint64_t round, const base::Deadline& deadline);
  // Deletes all that was ever written and still stands.
  void DeleteAll(const base::Deadline& deadline);

  // Puts again all that a peer may still need, if the service has started anew. Returns whether it
  // has. Asks the service for nothing otherwise.
  bool RestoreLost(const base::Deadline& deadline);

 private:
  struct Message {
    std::string key;
    wire::MessageId id;
    wire::MessageEncoder encoder;  // its buffer holds the bytes
    base::ByteSpan bytes;
  };
  struct Round {
    uint64_t round = 0;
    bool is_result = false;
    uint64_t size_bytes = 0;
    std::vector<std::string> keys = {};  // of all segments
    std::vector<Message> messages = {};  // empty if the store is durable
  };
  wire::MessageEncoder TakeEncoder();
  void DeleteRead(const base::Deadline& deadline);
  Message Encode(const VectorDraft& draft);
  Message Encode(const std::string& key, const wire::MessageId& id, base::ByteSpan payload);
  void Put(uint64_t round, std::vector<Message> messages, const base::Deadline& deadline);
  bool PutOnce(uint64_t round, Message message, const base::Deadline& deadline);
  // Takes note of what has been put.
  void File(uint64_t round, std::vector<Message> messages, std::vector<std::string> keys);
  void Discard(Round& round);
  void Reuse(std::vector<Message>& messages);

  store::Store& store_;
  const bool keeps_results_;
  uint64_t restarts_;         // of the service, when all of unread_ was last put or earlier
  std::deque<Round> unread_;  // what a peer may still read
  std::deque<Round> kept_;    // what only a rank invoked again may read, without the bytes
  uint64_t kept_bytes_ = 0;
  std::vector<std::string> read_keys_;  // what nobody reads again: to be deleted
  uint64_t read_size_bytes_ = 0;
  std::vector<wire::MessageEncoder> spare_encoders_;
};

}  // namespace lambdaml::comm
