// `lambdaml ps`: runs a parameter server, or shows what one is doing.
#include <csignal>
#include <fmt/format.h>
#include <pthread.h>
#include <string>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/units.h"
#include "lambdaml/net/environment.h"
#include "lambdaml/net/tcp.h"
#include "lambdaml/ps/address.h"
#include "lambdaml/ps/client.h"
#include "lambdaml/ps/server.h"

#include "apps/lambdaml/commands.h"

namespace lambdaml::cli {
namespace {

constexpr base::Duration kStatusTimeout = std::chrono::seconds(10);

ps::ServerOptions OptionsOf(const PsArguments& arguments) {
  ps::ServerOptions options;
  options.host = arguments.host;
  options.port = arguments.port;
  options.interval = base::FromSeconds(arguments.interval_s);
  options.idle_max = base::FromSeconds(arguments.expired_s);
  options.stop_grace = base::FromSeconds(arguments.grace_s);
  options.connections_max = arguments.connections_max;
  options.tls_cert_file = arguments.tls_cert;
  options.tls_key_file = arguments.tls_key;
  options.client_ca_file = arguments.tls_client_ca;
  options.metrics_port = arguments.metrics_port;
  options.transport.message_size_max_bytes = arguments.message_mb << 20;
  options.service.folder = arguments.dir;
  options.service.token = net::ProcessEnvironment()(ps::kTokenVariable).value_or("");
  options.service.memory_max_bytes = static_cast<uint64_t>(arguments.memory_mb) << 20;
  options.service.jobs_max = static_cast<size_t>(arguments.jobs_max);
  options.service.slice_size_max_bytes = options.transport.message_size_max_bytes;
  return options;
}

// SIGINT and SIGTERM, kept from all threads so that one can wait for them.
class StopSignals {
 public:
  StopSignals() {
    ::sigemptyset(&signals_);
    ::sigaddset(&signals_, SIGINT);
    ::sigaddset(&signals_, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }

  void Wait() const {
    int signal_number = 0;
    ::sigwait(&signals_, &signal_number);
  }

  // A second one ends the program at once.
  void LetThrough() const { ::pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr); }

 private:
  sigset_t signals_;
};

void Serve(const PsArguments& arguments) {
  const StopSignals signals;
  ps::Server server(OptionsOf(arguments));
  WriteOutput(
      fmt::format("parameter server on {}\n", net::PlaceName(arguments.host, server.port())));
  if (server.metrics_port() >= 0) {
    WriteOutput(fmt::format("metrics on http://{}/metrics\n",
                            net::PlaceName(arguments.host, server.metrics_port())));
  }
  signals.Wait();
  signals.LetThrough();
  base::Log(base::LogLevel::kInfo, "ps event=stopping reason=\"finishing the rounds under way\"");
  server.Stop();
}

std::string RanksText(const base::Json& ranks) {
  std::string text;
  for (const base::Json& rank : ranks.AsArray()) {
    text += fmt::format("{}{}", text.empty() ? "" : ",", rank.AsInteger());
  }
  return text.empty() ? "-" : text;
}

uint64_t Count(const base::Json& status, std::string_view key) {
  return static_cast<uint64_t>(status.At(key).AsNumber());
}

std::string StatusText(const base::Json& status) {
  std::string text = fmt::format(
      "up {}, {} connections, {} calls ({:.1f}/s), {} refused\n"
      "received {} ({}/s), sent {} ({}/s), memory {} of {}\n",
      base::FormatSeconds(status.At("uptime_seconds").AsNumber()), Count(status, "connections"),
      base::FormatCount(Count(status, "calls")), status.At("calls_per_second").AsNumber(),
      Count(status, "calls_refused"), base::FormatBytes(Count(status, "bytes_received")),
      base::FormatBytes(Count(status, "bytes_received_per_second")),
      base::FormatBytes(Count(status, "bytes_sent")),
      base::FormatBytes(Count(status, "bytes_sent_per_second")),
      base::FormatBytes(Count(status, "memory_used_bytes")),
      base::FormatBytes(Count(status, "memory_limit_bytes")));
  if (!status.At("jobs").AsArray().empty()) {
    text += fmt::format("\n{:<28} {:>7} {:>9} {:>8} {:>8} {:>9}  {}\n", "job", "workers", "round",
                        "merges", "waiting", "idle", "missing ranks");
  }
  for (const base::Json& job : status.At("jobs").AsArray()) {
    text += fmt::format(
        "{:<28} {:>7} {:>9} {:>8} {:>8} {:>9}  {}\n", job.At("job").AsString(),
        Count(job, "workers"), fmt::format("{}.{}", Count(job, "generation"), Count(job, "round")),
        Count(job, "merges"), Count(job, "waiting"),
        base::FormatSeconds(job.At("idle_seconds").AsNumber()), RanksText(job.At("missing_ranks")));
  }
  if (!status.At("models").AsArray().empty()) {
    text += fmt::format("\n{:<28} {:>7} {:>9} {:>8} {:>8} {:>9}\n", "model", "workers", "iteration",
                        "pulls", "pushes", "idle");
  }
  for (const base::Json& model : status.At("models").AsArray()) {
    text += fmt::format("{:<28} {:>7} {:>9} {:>8} {:>8} {:>9}\n", model.At("model").AsString(),
                        Count(model, "workers"), Count(model, "iteration"), Count(model, "pulls"),
                        Count(model, "pushes"),
                        base::FormatSeconds(model.At("idle_seconds").AsNumber()));
  }
  return text;
}

}  // namespace

void Run(const PsArguments& arguments) {
  if (arguments.status.empty()) return Serve(arguments);
  const std::string json =
      ps::FetchStatus(ps::AddressFromUrl(arguments.status), base::Deadline::After(kStatusTimeout));
  const base::Json status = base::Json::Parse(json, arguments.status);
  WriteOutput(arguments.json ? status.DumpPretty() : StatusText(status));
}

}  // namespace lambdaml::cli
