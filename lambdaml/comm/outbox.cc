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

void Outbox::PutVectors(uint64_t round, std::span<const VectorDraft> drafts,
                        const base::Deadline& deadline) {
  std::vector<Message> messages;
  messages.reserve(drafts.size());
  for (const VectorDraft& draft : drafts) {
    Message& message = messages.emplace_back(Message{draft.key, TakeEncoder(), {}});
    message.bytes = message.encoder.EncodeVector(draft.id, draft.scalars, draft.vector);
  }
  Put(round, std::move(messages), deadline);
}

void Outbox::PutBytes(uint64_t round, const std::string& key, const wire::MessageId& id,
                      base::ByteSpan payload, const base::Deadline& deadline) {
  std::vector<Message> messages;
  Message& message = messages.emplace_back(Message{key, TakeEncoder(), {}});
  message.bytes = message.encoder.EncodeBytes(id, payload);
  Put(round, std::move(messages), deadline);
}

void Outbox::Put(uint64_t round, std::vector<Message> messages, const base::Deadline& deadline) {
  Round written = {.round = round};
  std::vector<KeyedMessage> entries;
  entries.reserve(messages.size());
  for (const Message& message : messages) {
    entries.push_back({message.key, message.bytes});
    written.size_bytes += message.bytes.size();
  }
  written.keys = PutMessages(store_, entries, deadline);
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
    read_keys_.insert(read_keys_.end(), std::make_move_iterator(oldest.keys.begin()),
                      std::make_move_iterator(oldest.keys.end()));
    read_size_bytes_ += oldest.size_bytes;
    Reuse(oldest.messages);
    unread_.pop_front();
  }
  if (read_keys_.size() < kDeleteKeysMin && read_size_bytes_ < kDeleteSizeMinBytes) return;
  store_.Delete(read_keys_, deadline);
  read_keys_.clear();
  read_size_bytes_ = 0;
}

void Outbox::DeleteAll(const base::Deadline& deadline) {
  for (Round& round : unread_) {
    read_keys_.insert(read_keys_.end(), std::make_move_iterator(round.keys.begin()),
                      std::make_move_iterator(round.keys.end()));
  }
  unread_.clear();
  store_.Delete(read_keys_, deadline);
  read_keys_.clear();
  read_size_bytes_ = 0;
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
