#include "lambdaml/comm/outbox.h"

#include <iterator>
#include <utility>

#include "lambdaml/comm/segments.h"

namespace lambdaml::comm {
namespace {

// A delete is sent for so many keys or bytes: few enough for one request of any service, and little
// enough for a server's memory.
constexpr size_t kDeleteKeysMin = 25;
constexpr uint64_t kDeleteSizeMinBytes = uint64_t{1} << 20;

}  // namespace

Outbox::Outbox(store::Store& store, Options options)
    : store_(store), keeps_results_(options.keeps_results), restarts_(store.restarts()) {
  if (!options.leftover_keys.empty()) kept_.push_back({.keys = std::move(options.leftover_keys)});
}

void Outbox::PutVectors(uint64_t round, std::span<const VectorDraft> drafts,
                        const base::Deadline& deadline) {
  std::vector<Message> messages;
  messages.reserve(drafts.size());
  for (const VectorDraft& draft : drafts) messages.push_back(Encode(draft));
  Put(round, std::move(messages), deadline);
}

void Outbox::PutBytes(uint64_t round, const std::string& key, const wire::MessageId& id,
                      base::ByteSpan payload, const base::Deadline& deadline) {
  std::vector<Message> messages;
  messages.push_back(Encode(key, id, payload));
  Put(round, std::move(messages), deadline);
}

bool Outbox::PutVectorOnce(uint64_t round, const VectorDraft& draft,
                           const base::Deadline& deadline) {
  return PutOnce(round, Encode(draft), deadline);
}

bool Outbox::PutBytesOnce(uint64_t round, const std::string& key, const wire::MessageId& id,
                          base::ByteSpan payload, const base::Deadline& deadline) {
  return PutOnce(round, Encode(key, id, payload), deadline);
}

Outbox::Message Outbox::Encode(const VectorDraft& draft) {
  Message message = {draft.key, draft.id, TakeEncoder(), {}};
  message.bytes = message.encoder.EncodeVector(draft.id, draft.scalars, draft.vector, draft.note,
                                               draft.precision);
  return message;
}

Outbox::Message Outbox::Encode(const std::string& key, const wire::MessageId& id,
                               base::ByteSpan payload) {
  Message message = {key, id, TakeEncoder(), {}};
  message.bytes = message.encoder.EncodeBytes(id, payload);
  return message;
}

void Outbox::Put(uint64_t round, std::vector<Message> messages, const base::Deadline& deadline) {
  std::vector<KeyedMessage> entries;
  entries.reserve(messages.size());
  for (const Message& message : messages) entries.push_back({message.key, message.bytes});
  std::vector<std::string> keys = PutMessages(store_, entries, deadline);
  File(round, std::move(messages), std::move(keys));
}

bool Outbox::PutOnce(uint64_t round, Message message, const base::Deadline& deadline) {
  std::vector<std::string> keys;
  const bool is_first = PutMessageOnce(store_, {message.key, message.bytes}, deadline, &keys);
  const uint64_t size_bytes = message.bytes.size();
  std::vector<Message> messages;
  messages.push_back(std::move(message));
  if (is_first) {
    File(round, std::move(messages), std::move(keys));
  } else {
    Reuse(messages);
    unread_.push_back(
        {.round = round, .is_result = true, .size_bytes = size_bytes, .keys = std::move(keys)});
  }
  return is_first;
}

void Outbox::File(uint64_t round, std::vector<Message> messages, std::vector<std::string> keys) {
  Round written = {.round = round,
                   .is_result = messages.front().id.kind != wire::MessageKind::kContribution,
                   .keys = std::move(keys)};
  for (const Message& message : messages) written.size_bytes += message.bytes.size();
  if (store_.capabilities().is_durable) {
    Reuse(messages);
  } else {
    written.messages = std::move(messages);
  }
  unread_.push_back(std::move(written));
}

void Outbox::DeleteBefore(uint64_t round, const base::Deadline& deadline) {
  while (!unread_.empty() && unread_.front().round < round) {
    Round& oldest = unread_.front();
    Reuse(oldest.messages);
    if (oldest.is_result && keeps_results_) {
      kept_bytes_ += oldest.size_bytes;
      kept_.push_back(std::move(oldest));
    } else {
      Discard(oldest);
    }
    unread_.pop_front();
  }
  if (read_keys_.size() >= kDeleteKeysMin || read_size_bytes_ >= kDeleteSizeMinBytes) {
    DeleteRead(deadline);
  }
}

void Outbox::DeleteAllBefore(uint64_t round, const base::Deadline& deadline) {
  DeleteBefore(round, deadline);
  Release(round - 1);
  DeleteRead(deadline);
}

void Outbox::DeleteRead(const base::Deadline& deadline) {
  store_.Delete(read_keys_, deadline);
  read_keys_.clear();
  read_size_bytes_ = 0;
}

void Outbox::Release(uint64_t round) {
  while (!kept_.empty() && kept_.front().round <= round) {
    kept_bytes_ -= kept_.front().size_bytes;
    Discard(kept_.front());
    kept_.pop_front();
  }
}

void Outbox::Discard(Round& round) {
  read_keys_.insert(read_keys_.end(), std::make_move_iterator(round.keys.begin()),
                    std::make_move_iterator(round.keys.end()));
  read_size_bytes_ += round.size_bytes;
}

void Outbox::DeleteAll(const base::Deadline& deadline) {
  for (Round& round : kept_) Discard(round);
  for (Round& round : unread_) Discard(round);
  kept_.clear();
  unread_.clear();
  DeleteRead(deadline);
}

bool Outbox::RestoreLost(const base::Deadline& deadline) {
  const uint64_t before = restarts_;
  // Again if it starts anew while the messages are being put.
  while (restarts_ != store_.restarts()) {
    restarts_ = store_.restarts();
    std::vector<KeyedMessage> entries;
    for (const Round& round : unread_) {
      for (const Message& message : round.messages) {
        entries.push_back({message.key, message.bytes});
      }
    }
    PutMessages(store_, entries, deadline);
  }
  return restarts_ != before;
}

wire::MessageEncoder Outbox::TakeEncoder() {
  if (spare_encoders_.empty()) return {};
  wire::MessageEncoder encoder = std::move(spare_encoders_.back());
  spare_encoders_.pop_back();
  return encoder;
}

void Outbox::Reuse(std::vector<Message>& messages) {
  for (Message& message : messages) spare_encoders_.push_back(std::move(message.encoder));
  messages.clear();
}

}  // namespace lambdaml::comm
