/* sched contract { loops = grid n/32 m/16, pipe k/16 depth 1, lane m/2 n/2; tile = fma; x = shared sync; w = shared sync } */
#pragma OPENCL FP_CONTRACT OFF
#define EACH(v, n) _Pragma("unroll") for (int v = 0; v < n; v++)
static inline float bits_float(unsigned u) { return as_float(u); }
static inline float from_f16(unsigned short h) {
  unsigned m = (h & 0x7fffu) << 13, s = (h & 0x8000u) << 16;
  return bits_float(s | (m >= 0x0f800000u ? m | 0x7f800000u : as_uint(as_float(m)*5192296858534827628530496329220096.0f)));
}
static inline unsigned short to_f16(float x) {
  unsigned u = as_uint(x), s = u & 0x80000000u, a = u ^ s, r;
  if (a >= 0x47800000u) r = a > 0x7f800000u ? 0x7e00u : 0x7c00u;
  else if (a < 0x38800000u) r = as_uint(as_float(a) + 0.5f) - 0x3f000000u;
  else r = (a - 0x38000000u + 0xfffu + (a >> 13 & 1u)) >> 13;
  return (unsigned short)(r | s >> 16);
}
static inline float max_f32(float a, float b) { return a > b || a != a ? a : b; }
static inline float f16_round(float x) { return from_f16(to_f16(x)); }

__kernel __attribute__((reqd_work_group_size(128, 1, 1))) void
half_gemm_31fa9947(const __global unsigned short *x, const __global unsigned short *restrict w, const __global float *restrict b, __global unsigned short *y, int M)
{
  const int lane = (int)get_local_id(0);
  __local unsigned char scratch[1600] __attribute__((aligned(64)));
  __local unsigned short *const sx = (__local unsigned short *)(scratch + 0);
  __local unsigned short *const sw = (__local unsigned short *)(scratch + 576);
  int block = (int)get_group_id(0);
  const int q = (M + 15)/16;
  const int gm = block % q;
  block /= q;
  const int gn = block;
  float c[4];
  float b1[2];
  #pragma unroll
  for (int r = 0; r < 4; r++) {
    c[r] = 0.0f;
  }
  for (int t = 0; t < 48; t++) {
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    #pragma unroll
    for (int i = 0; i < 2; i++) {
      sx[lane*17 + i*8 - lane/16*271] = to_f16(M >= gm*16 + i*8 + lane/16 + 1 ? from_f16(x[gm*12288 + i*6144 + lane*48 + t*16 - (lane % 16)*47]) : 0.0f);
    }
    #pragma unroll
    for (int k_1 = 0; k_1 < 4; k_1++) {
      sw[k_1*128 + lane] = to_f16(from_f16(w[t*49152 + k_1*12288 + lane*96 + gn*32 - (lane % 32)*95]));
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    #pragma unroll
    for (int s = 0; s < 16; s++) {
      #pragma unroll
      for (int j = 0; j < 2; j++) {
        b1[j] = from_f16(sw[s*32 + j*16 + lane % 16]);
      }
      #pragma unroll
      for (int i_1 = 0; i_1 < 2; i_1++) {
        const float t1 = from_f16(sx[s*17 + i_1*8 + lane/16]);
        #pragma unroll
        for (int j = 0; j < 2; j++) {
          c[i_1*2 + j] = fma(t1, b1[j], c[i_1*2 + j]);
        }
      }
    }
  }
  #pragma unroll
  for (int i_2 = 0; i_2 < 2; i_2++) {
    #pragma unroll
    for (int j_1 = 0; j_1 < 2; j_1++) {
      if (M >= gm*16 + i_2*8 + lane/16 + 1) y[gm*49152 + i_2*24576 + lane*192 + gn*32 + j_1*16 - (lane % 16)*191] = to_f16(max_f32(c[i_2*2 + j_1] + b[gn*32 + j_1*16 + lane % 16], 0.0f));
    }
  }
}
