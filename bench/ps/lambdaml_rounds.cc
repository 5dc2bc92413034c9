#include "ps/lambdaml_rounds.h"

#include <thread>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TSocket.h>
#include <vector>

#include "lambdaml/ps/rpc/ParameterServer.h"

namespace lambdaml::bench {

using apache::thrift::TConfiguration;
using apache::thrift::protocol::TBinaryProtocol;
using apache::thrift::transport::TBufferedTransport;
using apache::thrift::transport::TSocket;

struct LambdamlRounds::State {
  State(int port, const std::string& model, int rank, size_t model_length)
      : transport(std::make_shared<TBufferedTransport>(std::make_shared<TSocket>("127.0.0.1", port),
                                                       TBufferedTransport::DEFAULT_BUFFER_SIZE,
                                                       std::make_shared<TConfiguration>(1 << 30))),
        client(std::make_shared<TBinaryProtocol>(transport)),
        id(model),
        worker(rank),
        length(model_length) {
    transport->open();
  }

  std::shared_ptr<TBufferedTransport> transport;
  ps::rpc::ParameterServerClient client;
  const std::string id;
  const int worker;
  const size_t length;
  int iteration = 0;
};

LambdamlRounds::LambdamlRounds(int port, const std::string& model, int worker, int worker_count,
                               size_t length)
    : state_(std::make_unique<State>(port, model, worker, length)) {
  if (worker == 0) {
    state_->client.register_model(model, static_cast<int32_t>(length), worker_count);
  }
  while (!state_->client.exist_model(model)) std::this_thread::yield();
}

LambdamlRounds::~LambdamlRounds() = default;

void LambdamlRounds::Run() {
  State& s = *state_;
  while (!s.client.can_pull(s.id, s.iteration, s.worker)) std::this_thread::yield();
  ps::rpc::Model model;
  s.client.pull_model(model, s.id, s.iteration, s.worker);
  while (!s.client.can_push(s.id, s.iteration, s.worker)) std::this_thread::yield();
  ps::rpc::Update update;
  update.id = s.id;
  update.data.assign(s.length, 1.0);
  update.n_iter = s.iteration;
  update.worker_id = s.worker;
  s.client.push_update(update);
  ++s.iteration;
}

}  // namespace lambdaml::bench
