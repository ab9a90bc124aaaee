/* sched chain { loops = grid i/32 z/1, pipe j/16 depth 1, warp i/16, lane i/4, lane j/2; tile = fma; k = shared sync; v = shared sync } */
#pragma OPENCL FP_CONTRACT OFF
#define EACH(v, n) _Pragma("unroll") for (int v = 0; v < n; v++)
typedef struct { unsigned short v[4]; } __attribute__((aligned(8))) u16x4;
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
typedef struct { float v[4]; } __attribute__((aligned(16))) f32x4;
static inline int min_i32(int a, int b) { return a < b || a != a ? a : b; }
static inline int floordiv_i32(int a, int b) { return a/b - (a % b < 0); }
static inline float max_f32(float a, float b) { return a > b || a != a ? a : b; }
static inline unsigned float_bits(float x) { return as_uint(x); }
static inline float f16_round(float x) { return from_f16(to_f16(x)); }

__kernel __attribute__((reqd_work_group_size(32, 2, 1))) void
half_attention_320e9d97(const __global unsigned short *q, const __global unsigned short *k, const __global unsigned short *v1, __global unsigned short *y, int L)
{
  const int lane = (int)get_local_id(0);
  const int warp = (int)get_local_id(1);
  __local int exchange[64];
  __local long exchange_64[64];
  const int thread = (int)get_local_id(1)*32 + (int)get_local_id(0);
  __local unsigned char scratch[20992] __attribute__((aligned(64)));
  __local float *const sk = (__local float *)(scratch + 0);
  __local float *const sv = (__local float *)(scratch + 4352);
  __local float *const sq = (__local float *)(scratch + 8704);
  __local float *const sp = (__local float *)(scratch + 17920);
  int block = (int)get_group_id(0);
  const int gz = block % 12;
  block /= 12;
  const int gi = block;
  const int q2 = (L + 31)/32;
  const int r = (L + 31) % 32;
  const int q3 = floordiv_i32(min_i32(L, q2*32 - gi*32) + 15, 16);
  float o[32];
  float m[4];
  float l[4];
  float s[8];
  float n[4];
  float a[4];
  float b[2];
  float f;
  float f_1;
  float b_1[8];
  #pragma unroll
  for (int i_1 = 0; i_1 < 8; i_1++) {
    u16x4 q1;
    if (warp*16 + i_1*2 + lane/16 < gi*32 + r + 1) q1 = *(const __global u16x4 *)(q + q2*2048 + warp*1024 + i_1*128 + L*gz*64 + lane*4 - gi*2048 - 2048);
    else EACH(v, 4) q1.v[v] = to_f16(0.0f);
    f32x4 sq1;
    EACH(v, 4) sq1.v[v] = from_f16(q1.v[v]);
    *(__local f32x4 *)(sq + warp*1152 + i_1*144 + lane/16*8 + lane*4) = sq1;
  }
  #pragma unroll
  for (int r1 = 0; r1 < 32; r1++) {
    o[r1] = 0.0f;
  }
  #pragma unroll
  for (int r_1 = 0; r_1 < 4; r_1++) {
    m[r_1] = -3.4028235e+38f;
  }
  #pragma unroll
  for (int r_2 = 0; r_2 < 4; r_2++) {
    l[r_2] = 0.0f;
  }
  for (int t = 0; t < q3; t++) {
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    #pragma unroll
    for (int j_1 = 0; j_1 < 4; j_1++) {
      u16x4 k1;
      if (L >= t*16 + warp*8 + j_1*2 + lane/16 + 1) k1 = *(const __global u16x4 *)(k + t*1024 + warp*512 + j_1*128 + L*gz*64 + lane*4);
      else EACH(v, 4) k1.v[v] = to_f16(0.0f);
      f32x4 sk1;
      EACH(v, 4) sk1.v[v] = L >= t*16 + warp*8 + j_1*2 + lane/16 + 1 ? from_f16(k1.v[v]) : 0.0f;
      *(__local f32x4 *)(sk + warp*544 + j_1*136 + lane*4 + lane/16*4) = sk1;
    }
    #pragma unroll
    for (int j_2 = 0; j_2 < 4; j_2++) {
      u16x4 v2;
      if (L >= t*16 + warp*8 + j_2*2 + lane/16 + 1) v2 = *(const __global u16x4 *)(v1 + t*1024 + warp*512 + j_2*128 + L*gz*64 + lane*4);
      else EACH(v, 4) v2.v[v] = to_f16(0.0f);
      f32x4 sv1;
      EACH(v, 4) sv1.v[v] = L >= t*16 + warp*8 + j_2*2 + lane/16 + 1 ? from_f16(v2.v[v]) : 0.0f;
      *(__local f32x4 *)(sv + warp*544 + j_2*136 + lane*4 + lane/16*4) = sv1;
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    #pragma unroll
    for (int r_3 = 0; r_3 < 8; r_3++) {
      s[r_3] = 0.0f;
    }
    for (int k2 = 0; k2 < 8; k2++) {
      #pragma unroll
      for (int s1 = 0; s1 < 8; s1++) {
        #pragma unroll
        for (int j_3 = 0; j_3 < 2; j_3++) {
          b[j_3] = sk[j_3*544 + (lane % 8)*68 + k2*8 + s1];
        }
        #pragma unroll
        for (int i_2 = 0; i_2 < 4; i_2++) {
          const float sq2 = sq[warp*1152 + i_2*288 + lane/8*72 + k2*8 + s1];
          #pragma unroll
          for (int j_3 = 0; j_3 < 2; j_3++) {
            s[i_2*2 + j_3] = fma(sq2, b[j_3], s[i_2*2 + j_3]);
          }
        }
      }
    }
    if (q2*32 >= gi*32 + t*16 + 47 && L >= t*16 + 16) {
      #pragma unroll
      for (int i_3 = 0; i_3 < 4; i_3++) {
        #pragma unroll
        for (int j_4 = 0; j_4 < 2; j_4++) {
          s[i_3*2 + j_4] = 0.125f*s[i_3*2 + j_4];
        }
      }
    } else {
      #pragma unroll
      for (int i_4 = 0; i_4 < 4; i_4++) {
        #pragma unroll
        for (int j_5 = 0; j_5 < 2; j_5++) {
          const float t1 = L >= t*16 + j_5*8 + lane % 8 + 1 ? q2*32 + warp*16 + lane/8*9 + i_4*4 >= gi*32 + t*16 + j_5*8 + lane + 32 ? 0.125f*s[i_4*2 + j_5] : -INFINITY : -INFINITY;
          s[i_4*2 + j_5] = t1;
        }
      }
    }
    #pragma unroll
    for (int i_5 = 0; i_5 < 4; i_5++) {
      f = s[i_5*2];
      #pragma unroll
      for (int q4 = 1; q4 < 2; q4++) {
        f = max_f32(f, s[i_5*2 + q4]);
      }
      const float f1 = f;
      exchange[thread] = (int)float_bits(f1);
      barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
      const float t2 = bits_float(exchange[thread ^ 1]);
      barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
      const float t3 = max_f32(f1, t2);
      exchange[thread] = (int)float_bits(t3);
      barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
      const float t4 = bits_float(exchange[thread ^ 2]);
      barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
      const float t5 = max_f32(t3, t4);
      exchange[thread] = (int)float_bits(t5);
      barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
      const float t6 = bits_float(exchange[thread ^ 4]);
      barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
      n[i_5] = max_f32(t5, t6);
    }
    #pragma unroll
    for (int i_6 = 0; i_6 < 4; i_6++) {
      n[i_6] = max_f32(n[i_6], m[i_6]);
    }
    #pragma unroll
    for (int i_7 = 0; i_7 < 4; i_7++) {
      #pragma unroll
      for (int j_7 = 0; j_7 < 2; j_7++) {
        s[i_7*2 + j_7] = exp(s[i_7*2 + j_7] - n[i_7]);
      }
    }
    #pragma unroll
    for (int i_8 = 0; i_8 < 4; i_8++) {
      a[i_8] = exp(m[i_8] - n[i_8]);
    }
    #pragma unroll
    for (int i_9 = 0; i_9 < 4; i_9++) {
      m[i_9] = n[i_9];
    }
    #pragma unroll
    for (int i_10 = 0; i_10 < 4; i_10++) {
      f_1 = s[i_10*2];
      #pragma unroll
      for (int q_1 = 1; q_1 < 2; q_1++) {
        f_1 = f_1 + s[i_10*2 + q_1];
      }
      const float f_1_1 = f_1;
      exchange[thread] = (int)float_bits(f_1_1);
      barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
      const float t7 = bits_float(exchange[thread ^ 1]);
      barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
      const float t8 = f_1_1 + t7;
      exchange[thread] = (int)float_bits(t8);
      barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
      const float t9 = bits_float(exchange[thread ^ 2]);
      barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
      const float t10 = t8 + t9;
      exchange[thread] = (int)float_bits(t10);
      barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
      const float t11 = bits_float(exchange[thread ^ 4]);
      barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
      n[i_10] = t10 + t11;
    }
    #pragma unroll
    for (int i_11 = 0; i_11 < 4; i_11++) {
      l[i_11] = l[i_11]*a[i_11] + n[i_11];
    }
    #pragma unroll
    for (int i_12 = 0; i_12 < 4; i_12++) {
      #pragma unroll
      for (int e = 0; e < 8; e++) {
        o[i_12*8 + e] = o[i_12*8 + e]*a[i_12];
      }
    }
    #pragma unroll
    for (int i_13 = 0; i_13 < 4; i_13++) {
      #pragma unroll
      for (int j_9 = 0; j_9 < 2; j_9++) {
        sp[warp*384 + i_13*96 + j_9*8 + lane*3 - (lane % 8)*2] = s[i_13*2 + j_9];
      }
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    for (int k_1 = 0; k_1 < 2; k_1++) {
      #pragma unroll
      for (int s_1 = 0; s_1 < 8; s_1++) {
        #pragma unroll
        for (int e_1 = 0; e_1 < 8; e_1++) {
          b_1[e_1] = sv[k_1*544 + s_1*68 + e_1*8 + lane % 8];
        }
        #pragma unroll
        for (int i_14 = 0; i_14 < 4; i_14++) {
          const float sp1 = sp[warp*384 + i_14*96 + lane/8*24 + k_1*8 + s_1];
          #pragma unroll
          for (int e_1 = 0; e_1 < 8; e_1++) {
            o[i_14*8 + e_1] = fma(sp1, b_1[e_1], o[i_14*8 + e_1]);
          }
        }
      }
    }
  }
  #pragma unroll
  for (int i_15 = 0; i_15 < 4; i_15++) {
    l[i_15] = l[i_15] == 0.0f ? NAN : l[i_15];
  }
  #pragma unroll
  for (int i_16 = 0; i_16 < 4; i_16++) {
    #pragma unroll
    for (int e_2 = 0; e_2 < 8; e_2++) {
      if (warp*16 + i_16*4 + lane/8 < gi*32 + r + 1) y[q2*2048 + warp*1024 + i_16*256 + L*gz*64 + lane*8 + e_2*8 - gi*2048 - (lane % 8)*7 - 2048] = to_f16((l[i_16] != l[i_16] ? l[i_16] : o[i_16*8 + e_2])/l[i_16]);
    }
  }
}
