// LEFTBIT: an Elman network of a few sigmoid units with biases, one window an update, momentum; the state is carried over
// and a gradient reaches no timestep but its own. The first timestep is not scored.
//
//   h_t = s(x_t w + b + h_{t-1} R), z_t = h_t v + c, L = weight sum_{t>0} (ln(1 + e^z_t) - y_t z_t)
#include <cmath>

#include "vectors.hpp"

static_assert(I == 1, "one input");

namespace {

using ::sigmoid;

constexpr int SCORED = T - 1;
constexpr int WEIGHTS = H * H + 3 * H + 1;

double cross_entropy(double z, double y) { return std::fmax(z, 0.0) + std::log1p(std::exp(-std::fabs(z))) - y * z; }

// Lanes side by side, N vectors of them interleaved: one's chain of sums and squashing functions fills the other's waits.

template <int N>
struct Pack {
  V part[N];
};

#define COMBINE(OPERATOR)                                                       \
  template <int N>                                                              \
  inline Pack<N> operator OPERATOR(const Pack<N>& a, const Pack<N>& b) {        \
    Pack<N> found;                                                              \
    for (int m = 0; m < N; m++) found.part[m] = a.part[m] OPERATOR b.part[m];   \
    return found;                                                               \
  }                                                                             \
  template <int N>                                                              \
  inline Pack<N> operator OPERATOR(double a, const Pack<N>& b) {                \
    Pack<N> found;                                                              \
    for (int m = 0; m < N; m++) found.part[m] = a OPERATOR b.part[m];           \
    return found;                                                               \
  }
COMBINE(+)
COMBINE(-)
COMBINE(*)

template <int N>
inline Pack<N> sigmoid(const Pack<N>& z) {
  Pack<N> found;
  for (int m = 0; m < N; m++) found.part[m] = sigmoid(z.part[m]);
  return found;
}

template <int N>
struct Net {
  Pack<N> w[H], r[H][H], b[H], v[H], c;
};

template <int N>
inline void update(Net<N>& net, Net<N>& change, Pack<N>* h, const Pack<N>* x, const Pack<N>* y, double alpha,
                   double epsilon, double weight, Pack<N>* loss) {
  Net<N> g = {};
#pragma GCC unroll 1
  for (int t = 0; t < T; t++) {
    Pack<N> next[H];
    for (int j = 0; j < H; j++) {
      next[j] = net.b[j] + x[t] * net.w[j];
      for (int k = 0; k < H; k++) next[j] = next[j] + h[k] * net.r[k][j];
    }
    for (int j = 0; j < H; j++) next[j] = sigmoid(next[j]);
    if (t > 0) {
      Pack<N> z = net.c;
      for (int j = 0; j < H; j++) z = z + next[j] * net.v[j];
      Pack<N> error = weight * (sigmoid(z) - y[t - 1]);
      if (loss)
        for (int i = 0; i < N * WIDTH; i++)
          loss->part[i / WIDTH][i % WIDTH] +=
              weight * cross_entropy(z.part[i / WIDTH][i % WIDTH], y[t - 1].part[i / WIDTH][i % WIDTH]);
      g.c = g.c + error;
      for (int j = 0; j < H; j++) {
        Pack<N> delta = error * net.v[j] * next[j] * (1.0 - next[j]);
        g.v[j] = g.v[j] + error * next[j];
        g.b[j] = g.b[j] + delta;
        g.w[j] = g.w[j] + x[t] * delta;
        for (int k = 0; k < H; k++) g.r[k][j] = g.r[k][j] + h[k] * delta;
      }
    }
    for (int j = 0; j < H; j++) h[j] = next[j];
  }
  Pack<N>*theta = net.w, *moved = change.w, *slope = g.w;
  for (int p = 0; p < WEIGHTS; p++) {
    moved[p] = alpha * slope[p] + epsilon * moved[p];
    theta[p] = theta[p] - moved[p];
  }
}

template <int N>
void train_blocks(long blocks, long updates, long period, const double* data, double alpha, double epsilon, double weight,
                  double* theta, double* losses) {
  for (long block = 0; block < blocks; block++) {
    Net<N>& net = ((Net<N>*)theta)[block];
    Net<N> change = {};
    Pack<N> h[H] = {};
    for (long n = 0; n < updates; n++) {
      const Pack<N>* x = (const Pack<N>*)data + (block * period + n % period) * (T + SCORED);
      update(net, change, h, x, x + T, alpha, epsilon, weight, losses ? (Pack<N>*)losses + block * updates + n : nullptr);
    }
  }
}

// One network: units stand in one vector, whose rest is zero.

static_assert(H <= WIDTH && T <= 2 * WIDTH, "units in one vector, timesteps in two");

struct Single {
  V w, r[H], b, v, c;  // c: the same in all places
};

inline V broadcast(V value, int place) { return splat(value[place]); }

inline void update(Single& net, Single& change, V& h, const double* x, const double* y, double alpha, double epsilon,
                   double weight, double* loss) {
  constexpr int PADDED = (T + WIDTH - 1) / WIDTH * WIDTH;
  alignas(64) double logit[PADDED] = {}, error[PADDED];
  V states[T + 1];
  states[0] = h;
#pragma GCC unroll 16
  for (int t = 0; t < T; t++) {
    V z = x[t] * net.w + net.b;
#pragma GCC unroll 8
    for (int k = 0; k < H; k++) z += broadcast(states[t], k) * net.r[k];
    states[t + 1] = sigmoid(z);
    V product = states[t + 1] * net.v;
    double sum = net.c[0];
#pragma GCC unroll 8
    for (int j = 0; j < H; j++) sum += product[j];
    logit[t] = sum;
  }
#pragma GCC unroll 2
  for (int t = 0; t < T; t += WIDTH) *(V*)(error + t) = sigmoid(*(V*)(logit + t));
  Single g = {};
#pragma GCC unroll 16
  for (int t = 1; t < T; t++) {
    V e = splat(weight * (error[t] - y[t - 1])), one = states[t + 1];
    if (loss) *loss += weight * cross_entropy(logit[t], y[t - 1]);
    g.c += e;
    g.v += e * one;
    V delta = e * net.v * one * (1.0 - one);
    g.b += delta;
    g.w += x[t] * delta;
#pragma GCC unroll 8
    for (int k = 0; k < H; k++) g.r[k] += broadcast(states[t], k) * delta;
  }
  h = states[T];
  V *theta = &net.w, *moved = &change.w, *slope = &g.w;
#pragma GCC unroll 16
  for (int p = 0; p < H + 4; p++) {
    moved[p] = alpha * slope[p] + epsilon * moved[p];
    theta[p] -= moved[p];
  }
}

}  // namespace

extern "C" {

int width() { return WIDTH; }

// Blocks of `vectors` vectors of lanes (1 or 2): theta (blocks, w R b v c, lanes), data (blocks, period, x y, lanes), of
// which update n reads number n modulo period; losses (blocks, updates, lanes), from zero,
// or null.
void train_lanes(long blocks, long updates, long period, const double* data, double alpha, double epsilon, double weight,
                 double* theta, double* losses, int vectors) {
  (vectors == 1 ? train_blocks<1> : train_blocks<2>)(blocks, updates, period, data, alpha, epsilon, weight, theta, losses);
}

// One network: data (period, x y), theta (w R b v c), losses (updates), from zero, or null.
void train_one(long updates, long period, const double* data, double alpha, double epsilon, double weight, double* theta,
               double* losses, int) {
  Single net = {}, change = {};
  V h = splat(0.0);
  double *w = theta, *r = w + H, *b = r + H * H, *v = b + H, *c = v + H;
  for (int j = 0; j < H; j++) {
    net.w[j] = w[j], net.b[j] = b[j], net.v[j] = v[j];
    for (int k = 0; k < H; k++) net.r[k][j] = r[k * H + j];
  }
  net.c = splat(*c);
  for (long n = 0; n < updates; n++) {
    const double* now = data + n % period * (T + SCORED);
    update(net, change, h, now, now + T, alpha, epsilon, weight, losses ? losses + n : nullptr);
  }
  for (int j = 0; j < H; j++) {
    w[j] = net.w[j], b[j] = net.b[j], v[j] = net.v[j];
    for (int k = 0; k < H; k++) r[k * H + j] = net.r[k][j];
  }
  *c = net.c[0];
}
}
