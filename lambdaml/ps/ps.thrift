// The parameter server's protocol: Apache Thrift, binary protocol over a buffered (unframed)
// transport. docs/parameter-server.md explains it.
//
// ParameterServer is LambdaML's service, method by method and field by field, so that its clients
// work as they are. VectorServer adds what this project's workers use: float32 vectors as binary,
// with checksums, and waiting on the server. One port serves both.
namespace cpp lambdaml.ps.rpc
namespace py lambdaml_ps

// ---- LambdaML's service ----

enum Operation {
  PING = 1,
  REGISTER = 2,
  EXIST_MODEL = 3,
  CAN_PULL = 4,
  CAN_PUSH = 5,
  PULL_MODEL = 6,
  PUSH_GRAD = 7,
  PUSH_UPDATE = 8
}

struct Grad {
  1: string id,
  2: double learning_rate,
  3: optional i32 length,
  4: list<double> data,
  5: i32 n_iter,
  6: i32 worker_id
}

struct Update {
  1: string id,
  2: optional i32 length,
  3: list<double> data,
  4: i32 n_iter,
  5: i32 worker_id
}

struct Model {
  1: string id,
  2: optional i32 length,
  3: list<double> data
}

exception InvalidOperation {
  1: i32 whatOp,
  2: string why
}

service ParameterServer {
  void ping() throws (1: InvalidOperation ex),
  void register_model(1: string id, 2: i32 length, 3: i32 parallelism)
      throws (1: InvalidOperation ex),
  bool exist_model(1: string id) throws (1: InvalidOperation ex),
  bool can_pull(1: string id, 2: i32 n_iter, 3: i32 worker_id) throws (1: InvalidOperation ex),
  bool can_push(1: string id, 2: i32 n_iter, 3: i32 worker_id) throws (1: InvalidOperation ex),
  Model pull_model(1: string id, 2: i32 n_iter, 3: i32 worker_id)
      throws (1: InvalidOperation ex),
  void push_grad(1: Grad g) throws (1: InvalidOperation ex),
  void push_update(1: Update u) throws (1: InvalidOperation ex),
  oneway void zip()
}

// ---- This project's service ----

// Why a call is refused. `code` is the name of a base::ErrorCode, such as "NotFound".
exception Refusal {
  1: string code,
  2: string why
}

struct Hello {
  1: string token  // the shared secret, if the server asks for one
}

struct Welcome {
  1: i32 message_size_max_bytes  // of Slice.message
}

struct JobSpec {
  1: string job,
  2: i32 worker_count,
  // Keeps the results of finished rounds until release; otherwise they go as soon as every rank
  // has contributed to a later round. Who asks for it once gets it for the job.
  3: bool keeps_rounds,
  4: bool must_be_new
}

struct JobState {
  // Drawn when the job is made, kept through a restart from --dir: another value means that the
  // server has lost the job.
  1: i64 incarnation,
  2: bool is_new
}

// One slice of one rank's part in a round, or of a change to the shared model.
struct Slice {
  1: string job,
  2: i64 generation,
  3: i64 round,        // merge: the number of this rank's merge, from 1; 0 joins
  4: i32 rank,
  5: i32 slice,
  6: i32 slice_count,
  7: i64 announcement, // exchange, rank 0: given to everybody with the result
  8: i32 wait_ms,      // exchange: how long to wait for the others; 0 does not wait
  9: optional binary message  // docs/wire-format.md; without it, only the result is asked for
}

struct Answer {
  1: bool is_complete,
  2: list<i32> missing_ranks,  // if not complete: who has not contributed to this slice
  3: i64 announcement,
  4: optional binary message   // if complete: the result, or the shared model after the merge
}

service VectorServer extends ParameterServer {
  // First on a connection to a server that has a token.
  Welcome hello(1: Hello hello) throws (1: Refusal refusal),
  // Makes the job, or finds it; refused if the name belongs to a job of another shape.
  JobState open_job(1: JobSpec spec) throws (1: Refusal refusal),
  // Contributes to a round, once however often it is repeated, and waits for the result: the sum
  // in rank order, or the blobs of all ranks.
  Answer exchange(1: Slice slice) throws (1: Refusal refusal),
  // Adds a change to the shared model, once however often it is repeated; the answer's scalars
  // count the merges of each rank.
  Answer merge(1: Slice slice) throws (1: Refusal refusal),
  // Nobody will ask for a round before (generation, round) any more.
  void release(1: string job, 2: i64 generation, 3: i64 round) throws (1: Refusal refusal),
  // Forgets the job and everything of it. One that is not there is no error.
  void close_job(1: string job) throws (1: Refusal refusal),
  // A JSON object: what the server holds and does.
  string status() throws (1: Refusal refusal)
}
