#include "lambdaml/ps/processor.h"

#include <algorithm>
#include <new>
#include <optional>
#include <string>
#include <thrift/TApplicationException.h>
#include <thrift/TProcessor.h>
#include <thrift/protocol/TProtocol.h>
#include <thrift/transport/TTransport.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/ps/rpc/VectorServer.h"
#include "lambdaml/ps/slice_call.h"
#include "lambdaml/ps/slice_rpc.h"

namespace lambdaml::ps {
namespace {

using apache::thrift::protocol::TProtocol;
using base::Error;
using base::ErrorCode;

// Longer waits are cut into several calls by the clients, so that either side notices within
// seconds that the other is gone.
constexpr base::Duration kWaitMax = std::chrono::seconds(30);

constexpr const char* kNotAuthenticated =
    "the parameter server asks for a token: set LAMBDAML_PS_TOKEN to the server's";

// Takes the same time wherever the strings differ.
bool IsEqualInConstantTime(const std::string& a, const std::string& b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size() && !b.empty(); ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i % b.size()]);
  }
  return difference == 0;
}

class Handler final : public rpc::VectorServerIf {
 private:
  // Counts and runs a call. Errors: base::Error.
  template <typename Work>
  auto Run(const Work& work) {
    service_.counters().calls.fetch_add(1);
    try {
      return work();
    } catch (const Error&) {
      service_.counters().calls_refused.fetch_add(1);
      throw;
    } catch (const std::bad_alloc&) {
      service_.counters().calls_refused.fetch_add(1);
      throw Error(ErrorCode::kResourceExhausted, "the parameter server is out of memory");
    }
  }

  template <typename Push>
  static void CheckLength(const Push& push) {
    if (!push.__isset.length || static_cast<size_t>(push.length) == push.data.size()) return;
    throw Error(ErrorCode::kInvalidArgument,
                "the length given is not that of the data: " + std::to_string(push.length) +
                    " and " + std::to_string(push.data.size()));
  }

  template <typename Work>
  auto AsLambdaml(rpc::Operation::type operation, const Work& work) {
    try {
      return Run(work);
    } catch (const Error& error) {
      rpc::InvalidOperation refusal;
      refusal.whatOp = operation;
      refusal.why = error.message();
      throw refusal;
    }
  }

  template <typename Work>
  void AsRefusal(const Work& work) {
    try {
      work();
    } catch (const Error& error) {
      rpc::Refusal refusal;
      refusal.code = base::ErrorCodeName(error.code());
      refusal.why = error.message();
      throw refusal;
    }
  }

 public:
  explicit Handler(Service& service)
      : service_(service), is_authenticated_(service.options().token.empty()) {}

  bool is_authenticated() const { return is_authenticated_; }

  SliceAnswer Exchange(SliceCall call) {
    return Run([&] {
      service_.counters().slices_exchanged.fetch_add(1);
      call.wait = std::min(call.wait, kWaitMax);
      return service_.jobs().Find(call.job)->Exchange(call);
    });
  }
  SliceAnswer Merge(const SliceCall& call) {
    return Run([&] {
      service_.counters().slices_merged.fetch_add(1);
      return service_.jobs().Find(call.job)->Merge(call);
    });
  }

  // ---- LambdaML's service ----

  void ping() override {
    AsLambdaml(rpc::Operation::PING, [] {});
  }
  void zip() override {}

  void register_model(const std::string& id, int32_t length, int32_t parallelism) override {
    AsLambdaml(rpc::Operation::REGISTER,
               [&] { service_.models().Register(id, length, parallelism); });
  }
  bool exist_model(const std::string& id) override {
    return AsLambdaml(rpc::Operation::EXIST_MODEL, [&] { return service_.models().Exists(id); });
  }
  bool can_pull(const std::string& id, int32_t n_iter, int32_t /*worker_id*/) override {
    return AsLambdaml(rpc::Operation::CAN_PULL, [&] {
      return service_.models().With(id, [&](LambdamlModel& m) { return m.CanPull(n_iter); });
    });
  }
  bool can_push(const std::string& id, int32_t n_iter, int32_t /*worker_id*/) override {
    return AsLambdaml(rpc::Operation::CAN_PUSH, [&] {
      return service_.models().With(id, [&](LambdamlModel& m) { return m.CanPush(n_iter); });
    });
  }
  void pull_model(rpc::Model& model, const std::string& id, int32_t n_iter,
                  int32_t worker_id) override {
    AsLambdaml(rpc::Operation::PULL_MODEL, [&] {
      service_.models().With(id, [&](LambdamlModel& m) { model.data = m.Pull(n_iter, worker_id); });
      model.id = id;
      model.__set_length(static_cast<int32_t>(model.data.size()));
    });
  }
  void push_grad(const rpc::Grad& grad) override {
    AsLambdaml(rpc::Operation::PUSH_GRAD, [&] {
      CheckLength(grad);
      service_.models().With(grad.id, [&](LambdamlModel& m) {
        m.Push(grad.n_iter, grad.worker_id, grad.data, grad.learning_rate);
      });
    });
  }
  void push_update(const rpc::Update& update) override {
    AsLambdaml(rpc::Operation::PUSH_UPDATE, [&] {
      CheckLength(update);
      service_.models().With(update.id, [&](LambdamlModel& m) {
        m.Push(update.n_iter, update.worker_id, update.data, 1);
      });
    });
  }

  // ---- This project's service ----

  void hello(rpc::Welcome& welcome, const rpc::Hello& hello) override {
    AsRefusal([&] {
      const std::string& token = service_.options().token;
      if (!token.empty() && !IsEqualInConstantTime(hello.token, token)) {
        is_authenticated_ = false;
        throw Error(ErrorCode::kPermissionDenied, hello.token.empty()
                                                      ? kNotAuthenticated
                                                      : "the parameter server has another token");
      }
      is_authenticated_ = true;
      welcome.message_size_max_bytes = service_.options().slice_size_max_bytes;
    });
  }
  void open_job(rpc::JobState& state, const rpc::JobSpec& spec) override {
    AsRefusal([&] {
      Run([&] {
        const JobState opened = service_.jobs().Open({.job = spec.job,
                                                      .worker_count = spec.worker_count,
                                                      .keeps_rounds = spec.keeps_rounds,
                                                      .must_be_new = spec.must_be_new});
        state.incarnation = static_cast<int64_t>(opened.incarnation);
        state.is_new = opened.is_new;
      });
    });
  }
  void release(const std::string& job, int64_t generation, int64_t round) override {
    AsRefusal([&] {
      Run([&] {
        service_.jobs().Find(job)->Release(
            {static_cast<uint64_t>(generation), static_cast<uint64_t>(round)});
      });
    });
  }
  void close_job(const std::string& job) override {
    AsRefusal([&] { Run([&] { service_.jobs().Close(job); }); });
  }
  void status(std::string& json) override {
    AsRefusal([&] { Run([&] { json = service_.Status().Dump(); }); });
  }
  // Never called: Processor answers these two itself.
  void exchange(rpc::Answer& /*answer*/, const rpc::Slice& /*slice*/) override {}
  void merge(rpc::Answer& /*answer*/, const rpc::Slice& /*slice*/) override {}

 private:
  Service& service_;
  bool is_authenticated_;
};

class Processor final : public rpc::VectorServerProcessor {
 public:
  Processor(Service& service, const std::shared_ptr<Handler>& handler)
      : VectorServerProcessor(handler), service_(service), handler_(handler) {}

 protected:
  bool dispatchCall(TProtocol* in, TProtocol* out, const std::string& name, int32_t sequence,
                    void* context) override {
    if (!handler_->is_authenticated() && name != "hello") return Reject(*in, *out, name, sequence);
    const bool is_exchange = name == "exchange";
    if (!is_exchange && name != "merge") {
      return VectorServerProcessor::dispatchCall(in, out, name, sequence, context);
    }
    std::optional<Error> refusal;
    SliceCall call = ReadSliceArguments(
        *in, [this](size_t size) { return MessageMemoryOf(size); }, &refusal);
    in->readMessageEnd();
    in->getTransport()->readEnd();
    SliceAnswer answer;
    if (!refusal) {
      try {
        answer = is_exchange ? handler_->Exchange(std::move(call)) : handler_->Merge(call);
      } catch (const Error& error) {
        refusal = error;
      }
    }
    out->writeMessageBegin(name, apache::thrift::protocol::T_REPLY, sequence);
    if (refusal) {
      WriteSliceRefusal(*out, *refusal);
    } else {
      WriteSliceAnswer(*out, answer);
    }
    out->writeMessageEnd();
    out->getTransport()->writeEnd();
    out->getTransport()->flush();
    return true;
  }

 private:
  // Nothing of such a call is kept, whatever its arguments are.
  bool Reject(TProtocol& in, TProtocol& out, const std::string& name, int32_t sequence) {
    service_.counters().calls.fetch_add(1);
    service_.counters().calls_refused.fetch_add(1);
    in.skip(apache::thrift::protocol::T_STRUCT);
    in.readMessageEnd();
    in.getTransport()->readEnd();
    const apache::thrift::TApplicationException refusal(kNotAuthenticated);
    out.writeMessageBegin(name, apache::thrift::protocol::T_EXCEPTION, sequence);
    refusal.write(&out);
    out.writeMessageEnd();
    out.getTransport()->writeEnd();
    out.getTransport()->flush();
    return true;
  }

  std::shared_ptr<std::byte[]> MessageMemoryOf(size_t size) {
    const auto size_max = static_cast<size_t>(service_.options().slice_size_max_bytes);
    if (size > size_max) {
      throw Error(ErrorCode::kResourceExhausted,
                  "a message of " + std::to_string(size) + " bytes exceeds the server's " +
                      std::to_string(size_max) + ": cut it into slices");
    }
    return NewPaidBuffer(service_.budget(), size);
  }

  Service& service_;
  std::shared_ptr<Handler> handler_;
};

}  // namespace

std::shared_ptr<apache::thrift::TProcessor> MakeProcessor(Service& service) {
  return std::make_shared<Processor>(service, std::make_shared<Handler>(service));
}

}  // namespace lambdaml::ps
