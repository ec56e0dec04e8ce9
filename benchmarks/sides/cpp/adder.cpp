// The adder: an Elman network of sigmoid units without biases, one sequence an update, half the squared error, SGD.
//
//   h_t = s(x_t W + h_{t-1} R), o_t = s(h_t v), L = weight sum_t (o_t - y_t)^2, and backwards through all timesteps.
#include "vectors.hpp"

namespace {

// Lanes side by side: an element of each vector is a lane's.

struct Lanes {
  V w[I][H], r[H][H], v[H];
};

struct Sequence {
  V x[T][I], y[T];
};

// theta -= alpha sum_t left[t] right[t] for a block of ROWS x COLUMNS weights, whose sums stay in registers.
template <int ROWS, int COLUMNS, int LEFT, int WEIGHTS>
inline void descend(V alpha, int steps, const V* left, const V* right, V* weights) {
  V sum[ROWS][COLUMNS] = {};
  for (int t = 0; t < steps; t++)
    for (int i = 0; i < ROWS; i++)
      for (int j = 0; j < COLUMNS; j++) sum[i][j] += left[t * LEFT + i] * right[t * H + j];
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < COLUMNS; j++) weights[i * WEIGHTS + j] -= alpha * sum[i][j];
}

// States of all timesteps, and what stands before the last squashing; `logit` is 0 before.
inline void run_forward(const Lanes& net, const Sequence& data, V (*h)[H], V* logit) {
#pragma GCC unroll 1
  for (int t = 0; t < T; t++) {
    V z[H];
    for (int j = 0; j < H; j++) z[j] = data.x[t][0] * net.w[0][j];
    for (int i = 1; i < I; i++)
      for (int j = 0; j < H; j++) z[j] += data.x[t][i] * net.w[i][j];
    if (t > 0) {
#pragma GCC unroll 1
      for (int k = 0; k < H; k++)
        for (int j = 0; j < H; j++) z[j] += h[t - 1][k] * net.r[k][j];
    }
    for (int j = 0; j < H; j++) h[t][j] = z[j];
#pragma GCC unroll 4
    for (int j = 0; j < H; j++) h[t][j] = sigmoid(h[t][j]);
  }
#pragma GCC unroll 1
  for (int j = 0; j < H; j++)
    for (int t = 0; t < T; t++) logit[t] += h[t][j] * net.v[j];
}

inline V evaluate(const Lanes& net, const Sequence& data, double weight, V* outputs) {
  V h[T][H], logit[T] = {}, loss = {};
  run_forward(net, data, h, logit);
#pragma GCC unroll 4
  for (int t = 0; t < T; t++) {
    outputs[t] = sigmoid(logit[t]);
    V error = outputs[t] - data.y[t];
    loss += weight * error * error;
  }
  return loss;
}

inline void update(Lanes& net, const Sequence& data, V alpha, double weight, V* loss) {
  V h[T][H], delta[T][H], above[T], logit[T] = {};
  run_forward(net, data, h, logit);
#pragma GCC unroll 4
  for (int t = 0; t < T; t++) {
    V o = sigmoid(logit[t]), error = o - data.y[t];
    above[t] = 2.0 * weight * error * o * (1.0 - o);
    if (loss) *loss += weight * error * error;
  }
#pragma GCC unroll 1
  for (int t = T - 1; t >= 0; t--) {
    V d[H];
    for (int j = 0; j < H; j++) d[j] = above[t] * net.v[j];
    if (t < T - 1) {
#pragma GCC unroll 1
      for (int k = 0; k < H; k++)
        for (int j = 0; j < H; j++) d[j] += delta[t + 1][k] * net.r[j][k];
    }
    for (int j = 0; j < H; j++) delta[t][j] = d[j] * h[t][j] * (1.0 - h[t][j]);
  }
#pragma GCC unroll 1
  for (int i = 0; i < H; i += 4)
#pragma GCC unroll 1
    for (int j = 0; j < H; j += 4) descend<4, 4, H, H>(alpha, T - 1, h[0] + i, delta[1] + j, net.r[i] + j);
#pragma GCC unroll 1
  for (int j = 0; j < H; j += 8) descend<I, 8, I, H>(alpha, T, data.x[0], delta[0] + j, net.w[0] + j);
#pragma GCC unroll 1
  for (int j = 0; j < H; j += 8) descend<1, 8, 1, H>(alpha, T, above, h[0] + j, net.v + j);
}

// One network: units fill the vectors. What flows backwards multiplies by columns of R, which are kept as rows too.

static_assert(H % 8 == 0, "units fill whole vectors");

constexpr int PARTS = H / WIDTH;

struct Single {
  V w[I][PARTS], r[H][PARTS], columns[H][PARTS], v[PARTS];
};

// out += vector times rows of a matrix, in SUMS partial sums: one keeps the order, several are a shorter chain.
template <int SUMS>
inline void multiply(const double* vector, const V (*rows)[PARTS], V* out) {
  V sum[SUMS][PARTS] = {};
  for (int m = 0; m < PARTS; m++) sum[0][m] = out[m];
#pragma GCC unroll 16
  for (int k = 0; k < H; k++)
    for (int m = 0; m < PARTS; m++) sum[k % SUMS][m] += vector[k] * rows[k][m];
  for (int half = SUMS / 2; half > 0; half /= 2)
    for (int s = 0; s < half; s++)
      for (int m = 0; m < PARTS; m++) sum[s][m] += sum[s + half][m];
  for (int m = 0; m < PARTS; m++) out[m] = sum[0][m];
}

// theta -= alpha left^T right, of which `left` has ROWS columns.
template <int ROWS>
inline void descend_rows(double alpha, int steps, const double* left, const V (*right)[PARTS], V (*weights)[PARTS]) {
#pragma GCC unroll 1
  for (int i = 0; i < ROWS; i += ROWS < 4 ? ROWS : 4) {
    constexpr int BLOCK = ROWS < 4 ? ROWS : 4;
    V sum[BLOCK][PARTS] = {};
#pragma GCC unroll 1
    for (int t = 0; t < steps; t++)
      for (int row = 0; row < BLOCK; row++)
        for (int m = 0; m < PARTS; m++) sum[row][m] += left[t * ROWS + i + row] * right[t][m];
    for (int row = 0; row < BLOCK; row++)
      for (int m = 0; m < PARTS; m++) weights[i + row][m] -= alpha * sum[row][m];
  }
}

template <int SUMS>
inline void update(Single& net, const double* x, const double* y, double alpha, double weight, double* loss) {
  alignas(64) V h[T][PARTS], delta[T][PARTS];
  alignas(64) double logit[T + WIDTH] = {}, above[T + WIDTH];
#pragma GCC unroll 1
  for (int t = 0; t < T; t++) {
    V z[PARTS];
    for (int m = 0; m < PARTS; m++) z[m] = x[t * I] * net.w[0][m];
    for (int i = 1; i < I; i++)
      for (int m = 0; m < PARTS; m++) z[m] += x[t * I + i] * net.w[i][m];
    if (t > 0) multiply<SUMS>((const double*)h[t - 1], net.r, z);
    for (int m = 0; m < PARTS; m++) h[t][m] = sigmoid(z[m]);
    V sum = h[t][0] * net.v[0];
    for (int m = 1; m < PARTS; m++) sum += h[t][m] * net.v[m];
    logit[t] = add_up(sum);
  }
  for (int t = 0; t < T; t += WIDTH) {
    V o = sigmoid(*(V*)(logit + t)), target = splat(0.0);
    for (int i = 0; i < WIDTH && t + i < T; i++) target[i] = y[t + i];
    V error = o - target;
    *(V*)(above + t) = 2.0 * weight * error * o * (1.0 - o);
    if (loss)
      for (int i = 0; i < WIDTH && t + i < T; i++) *loss += weight * error[i] * error[i];
  }
#pragma GCC unroll 1
  for (int t = T - 1; t >= 0; t--) {
    V d[PARTS];
    for (int m = 0; m < PARTS; m++) d[m] = above[t] * net.v[m];
    if (t < T - 1) multiply<SUMS>((const double*)delta[t + 1], net.columns, d);
    for (int m = 0; m < PARTS; m++) delta[t][m] = d[m] * h[t][m] * (1.0 - h[t][m]);
  }
  descend_rows<H>(alpha, T - 1, (const double*)h[0], delta + 1, net.r);
  descend_rows<H>(alpha, T - 1, (const double*)delta[1], h, net.columns);
  descend_rows<I>(alpha, T, x, delta, net.w);
  descend_rows<1>(alpha, T, above, h, &net.v);
}

template <int SUMS>
void train_single(long updates, long period, const double* data, double alpha, double weight, double* theta,
                  double* losses) {
  Single net;
  double *w = theta, *r = w + I * H, *v = r + H * H;
  __builtin_memcpy(net.w, w, sizeof net.w);
  __builtin_memcpy(net.r, r, sizeof net.r);
  __builtin_memcpy(net.v, v, sizeof net.v);
  for (int i = 0; i < H; i++)
    for (int j = 0; j < H; j++) ((double*)net.columns[j])[i] = r[i * H + j];
  for (long n = 0; n < updates; n++) {
    const double* x = data + n % period * T * (I + 1);
    update<SUMS>(net, x, x + T * I, alpha, weight, losses ? losses + n : nullptr);
  }
  __builtin_memcpy(w, net.w, sizeof net.w);
  __builtin_memcpy(r, net.r, sizeof net.r);
  __builtin_memcpy(v, net.v, sizeof net.v);
}

}  // namespace

extern "C" {

int width() { return WIDTH; }

// Blocks of WIDTH lanes, one after the other: theta (blocks, W R v, WIDTH), data (blocks, period, x y, WIDTH), of which
// update n reads number n modulo period; losses (blocks, updates, WIDTH), from zero, or null.
void train_lanes(long blocks, long updates, long period, const double* data, double alpha, double, double weight,
                 double* theta, double* losses, int) {
  const Sequence* all = (const Sequence*)data;
  for (long block = 0; block < blocks; block++) {
    Lanes& net = ((Lanes*)theta)[block];
    for (long n = 0; n < updates; n++)
      update(net, all[block * period + n % period], splat(alpha), weight,
             losses ? (V*)losses + block * updates + n : nullptr);
  }
}

// As many sequences of each block, forward alone: theta and data as above; outputs (blocks, sequences, T, WIDTH), losses
// (blocks, WIDTH), those of all its sequences together.
void evaluate_lanes(long blocks, long sequences, const double* data, double weight, const double* theta,
                    double* outputs, double* losses) {
  const Sequence* all = (const Sequence*)data;
  for (long block = 0; block < blocks; block++) {
    V loss = {};
    for (long n = block * sequences; n < (block + 1) * sequences; n++)
      loss += evaluate(((const Lanes*)theta)[block], all[n], weight, (V*)outputs + n * T);
    ((V*)losses)[block] = loss;
  }
}

// One network: data (period, x y), theta (W R v), losses (updates), from zero, or null; `sums` partial sums, 1 or 4.
void train_one(long updates, long period, const double* data, double alpha, double, double weight, double* theta,
               double* losses, int sums) {
  (sums == 1 ? train_single<1> : train_single<4>)(updates, period, data, alpha, weight, theta, losses);
}
}
