// Vectors of float64 in the compiler's own notation, and the logistic function of one.
//
// The compiler is told the sizes: -DT= timesteps, -DI= inputs, -DH= hidden units.
#pragma once

#ifdef __AVX512F__
constexpr int WIDTH = 8;
#else
constexpr int WIDTH = 4;  // with AVX or NEON of two registers; elsewhere the compiler takes what there is
#endif

typedef double V __attribute__((vector_size(8 * WIDTH)));
typedef long long Integers __attribute__((vector_size(8 * WIDTH)));

inline V splat(double value) { return value - V{}; }

// The bits of 2^(k/16) less k·2^48: with the bits of 16n·2^48 added they are those of 2^n for n = m + k/16.
inline constexpr long long POWERS[16] = {
    0x3ff0000000000000, 0x3fefb5586cf9890f, 0x3fef72b83c7d517b, 0x3fef387a6e756238,
    0x3fef06fe0a31b715, 0x3feedea64c123422, 0x3feebfdad5362a27, 0x3feeab07dd485429,
    0x3feea09e667f3bcd, 0x3feea11473eb0187, 0x3feeace5422aa0db, 0x3feec49182a3f090,
    0x3feee89f995ad3ad, 0x3fef199bdd85529c, 0x3fef5818dcfba487, 0x3fefa4afa2a490da,
};

inline Integers look_up(Integers places) {
#ifdef __AVX512F__
  Integers low, high;
  __builtin_memcpy(&low, POWERS, sizeof low);
  __builtin_memcpy(&high, POWERS + 8, sizeof high);
  return __builtin_shuffle(low, high, places);  // one instruction, which reads the lowest four bits
#else
  Integers found;
  for (int i = 0; i < WIDTH; i++) found[i] = POWERS[places[i] & 15];
  return found;
#endif
}

// e^x for |x| <= 708 within 1.1 ulp: x = n ln 2 + r with n a multiple of 1/16, and Taylor's series of e^r - 1 to r^7.
inline V exponential(V x) {
  const V shift = splat(1.5 * 4503599627370496.0 / 16);
  V shifted = x * 1.4426950408889634 + shift;
  V n = shifted - shift;
  V r = n * -1.90821492927058770002e-10 + (n * -6.93147180369123816490e-01 + x);
  V square = r * r;
  V c23 = r * (1.0 / 6) + 0.5, c45 = r * (1.0 / 120) + 1.0 / 24, c67 = r * (1.0 / 5040) + 1.0 / 720;
  V p = square * (square * (square * c67 + c45) + c23) + r;
  Integers bits = (Integers)shifted;
  V power = (V)(look_up(bits) + (bits << 48));
  return power * p + power;
}

// 1 / (1 + e^-z); beyond +-708 that of +-708, a NaN of a NaN.
inline V sigmoid(V z) {
  z = z > 708.0 ? splat(708.0) : z;
  z = z < -708.0 ? splat(-708.0) : z;
  return 1.0 / (exponential(-z) + 1.0);
}

inline double add_up(V value) {
  double sum = 0.0;
  for (int i = 0; i < WIDTH; i++) sum += value[i];
  return sum;
}
