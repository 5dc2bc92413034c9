// The calls `exchange` and `merge` of ps.thrift on the wire, written and read by hand.
//
// The code that Thrift generates keeps a binary field in a std::string, which costs two passes over
// the bytes (it is zeroed before it is filled, and copied into from where the bytes stand). Here a
// message is read into memory of our own and written from where it stands. What goes over the wire
// is exactly what the IDL says: clients generated from it call these methods too.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/error.h"
#include "lambdaml/ps/slice_call.h"

namespace apache::thrift::protocol {
class TProtocol;
}  // namespace apache::thrift::protocol

namespace lambdaml::ps {

using apache::thrift::protocol::TProtocol;

// Memory for a message of that size. May throw base::Error: the message is then read and dropped.
using MessageMemory = std::function<std::shared_ptr<std::byte[]>(size_t size)>;

// The structs `exchange_args` and `merge_args`. Reading throws Thrift's exceptions for what is no
// such struct; `refusal` is what MessageMemory threw.
void WriteSliceArguments(TProtocol& protocol, const SliceCall& call);
SliceCall ReadSliceArguments(TProtocol& protocol, const MessageMemory& memory,
                             std::optional<base::Error>* refusal);

// The structs `exchange_result` and `merge_result`. Reading throws a refusal as rpc::Refusal.
void WriteSliceAnswer(TProtocol& protocol, const SliceAnswer& answer);
void WriteSliceRefusal(TProtocol& protocol, const base::Error& refusal);
// A long dense vector of the counts of `place` goes there; nullptr: none does.
SliceAnswer ReadSliceAnswer(TProtocol& protocol, const MessageMemory& memory, AnswerPlace* place);

}  // namespace lambdaml::ps
