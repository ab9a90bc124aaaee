/* sched contract { loops = grid n/64 m/64, pipe k/64 depth 1, warp m/32 n/32; tile = fma.m8n4k4; x = shared sync; w = shared sync; epi = shared } */
#pragma OPENCL FP_CONTRACT OFF
#define EACH(v, n) _Pragma("unroll") for (int v = 0; v < n; v++)
typedef struct { float v[8]; } __attribute__((aligned(16))) f32x8;
typedef struct { float v[4]; } __attribute__((aligned(16))) f32x4;
typedef struct { unsigned short v[8]; } __attribute__((aligned(16))) u16x8;
static inline unsigned short to_f16(float x) {
  unsigned u = as_uint(x), s = u & 0x80000000u, a = u ^ s, r;
  if (a >= 0x47800000u) r = a > 0x7f800000u ? 0x7e00u : 0x7c00u;
  else if (a < 0x38800000u) r = as_uint(as_float(a) + 0.5f) - 0x3f000000u;
  else r = (a - 0x38000000u + 0xfffu + (a >> 13 & 1u)) >> 13;
  return (unsigned short)(r | s >> 16);
}
static inline float bits_float(unsigned u) { return as_float(u); }
static inline float from_f16(unsigned short h) {
  unsigned m = (h & 0x7fffu) << 13, s = (h & 0x8000u) << 16;
  return bits_float(s | (m >= 0x0f800000u ? m | 0x7f800000u : as_uint(as_float(m)*5192296858534827628530496329220096.0f)));
}
typedef struct { unsigned short v[4]; } __attribute__((aligned(8))) u16x4;
static inline float max_f32(float a, float b) { return a > b || a != a ? a : b; }
static inline float f16_round(float x) { return from_f16(to_f16(x)); }

__kernel __attribute__((reqd_work_group_size(32, 4, 1))) void
half_gemm_bdecc44c(const __global unsigned short *x, const __global unsigned short *restrict w, const __global float *restrict b, __global unsigned short *y, int M)
{
  const int lane = (int)get_local_id(0);
  const int warp = (int)get_local_id(1);
  __local unsigned char scratch[18432] __attribute__((aligned(64)));
  __local unsigned short *const sx = (__local unsigned short *)(scratch + 0);
  __local unsigned short *const sw = (__local unsigned short *)(scratch + 9216);
  __local float *const e = (__local float *)(scratch + 0);
  int block = (int)get_group_id(0);
  const int q = (M + 63)/64;
  const int gm = block % q;
  block /= q;
  const int gn = block;
  float c[32];
  f32x8 e1[4];
  f32x4 b1[8];
  f32x4 a;
  #pragma unroll
  for (int r = 0; r < 32; r++) {
    c[r] = 0.0f;
  }
  for (int t = 0; t < 12; t++) {
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    #pragma unroll
    for (int i = 0; i < 4; i++) {
      u16x8 x1;
      if (M >= gm*64 + warp*16 + i*4 + lane/8 + 1) x1 = *(const __global u16x8 *)(x + gm*49152 + warp*12288 + i*3072 + lane*96 + t*64 - (lane % 8)*88);
      else EACH(v, 8) x1.v[v] = to_f16(0.0f);
      u16x8 sx1;
      EACH(v, 8) sx1.v[v] = to_f16(from_f16(x1.v[v]));
      *(__local u16x8 *)(sx + warp*1152 + i*288 + lane*9 - lane % 8) = sx1;
    }
    #pragma unroll
    for (int j = 0; j < 4; j++) {
      const u16x8 w1 = *(const __global u16x8 *)(w + gn*49152 + warp*12288 + j*3072 + lane*96 + t*64 - (lane % 8)*88);
      u16x8 sw1;
      EACH(v, 8) sw1.v[v] = to_f16(from_f16(w1.v[v]));
      *(__local u16x8 *)(sw + warp*1152 + j*288 + lane*9 - lane % 8) = sw1;
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    #pragma unroll
    for (int s = 0; s < 16; s++) {
      #pragma unroll
      for (int j_1 = 0; j_1 < 8; j_1++) {
        const u16x4 sw2 = *(const __local u16x4 *)(sw + (warp % 2)*2304 + j_1*288 + (lane % 4)*72 + s*4);
        EACH(v, 4) b1[j_1].v[v] = from_f16(sw2.v[v]);
      }
      #pragma unroll
      for (int i_1 = 0; i_1 < 4; i_1++) {
        const u16x4 sx2 = *(const __local u16x4 *)(sx + warp/2*2304 + i_1*576 + lane/4*72 + s*4);
        EACH(v, 4) a.v[v] = from_f16(sx2.v[v]);
        #pragma unroll
        for (int j_1 = 0; j_1 < 8; j_1++) {
          EACH(v, 4) c[i_1*8 + j_1] = fma(a.v[v], b1[j_1].v[v], c[i_1*8 + j_1]);
        }
      }
    }
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  #pragma unroll
  for (int i_2 = 0; i_2 < 4; i_2++) {
    #pragma unroll
    for (int j_2 = 0; j_2 < 8; j_2++) {
      e[warp*1088 + i_2*544 + lane*17 + j_2*4 - (warp % 2)*1056 - (lane % 4)*16] = c[i_2*8 + j_2];
    }
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  #pragma unroll
  for (int i_3 = 0; i_3 < 4; i_3++) {
    f32x8 t1;
    EACH(v, 8) t1.v[v] = v == 2 ? e[warp*1088 + i_3*272 + lane*8 + lane/8*4 + 2] : v == 1 ? e[warp*1088 + i_3*272 + lane*8 + lane/8*4 + 1] : e[warp*1088 + i_3*272 + lane*8 + lane/8*4];
    f32x8 t2;
    EACH(v, 8) t2.v[v] = v == 4 ? e[warp*1088 + i_3*272 + lane*8 + lane/8*4 + 4] : v == 3 ? e[warp*1088 + i_3*272 + lane*8 + lane/8*4 + 3] : t1.v[v];
    f32x8 t3;
    EACH(v, 8) t3.v[v] = v == 6 ? e[warp*1088 + i_3*272 + lane*8 + lane/8*4 + 6] : v == 5 ? e[warp*1088 + i_3*272 + lane*8 + lane/8*4 + 5] : t2.v[v];
    EACH(v, 8) e1[i_3].v[v] = v == 7 ? e[warp*1088 + i_3*272 + lane*8 + lane/8*4 + 7] : t3.v[v];
  }
  const f32x8 b2 = *(const __global f32x8 *)(b + gn*64 + (lane % 8)*8);
  #pragma unroll
  for (int i_4 = 0; i_4 < 4; i_4++) {
    u16x8 y2;
    EACH(v, 8) y2.v[v] = to_f16(max_f32(e1[i_4].v[v] + b2.v[v], 0.0f));
    if (M >= gm*64 + warp*16 + i_4*4 + lane/8 + 1) *(__global u16x8 *)(y + gm*196608 + warp*49152 + i_4*12288 + lane*384 + gn*64 - (lane % 8)*376) = y2;
  }
}
