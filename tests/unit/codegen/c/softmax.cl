/* sched row { loops = grid r/8, warp r/1; tile = v4; hold = reg } */
#pragma OPENCL FP_CONTRACT OFF
#define EACH(v, n) _Pragma("unroll") for (int v = 0; v < n; v++)
typedef struct { float v[4]; } __attribute__((aligned(16))) f32x4;
static inline float max_f32(float a, float b) { return a > b || a != a ? a : b; }
static inline unsigned float_bits(float x) { return as_uint(x); }
static inline float bits_float(unsigned u) { return as_float(u); }

__kernel __attribute__((reqd_work_group_size(32, 8, 1))) void
softmax_d5627200(const __global float *x, __global float *y, int R)
{
  const int lane = (int)get_local_id(0);
  const int warp = (int)get_local_id(1);
  __local int exchange[256];
  __local long exchange_64[256];
  const int thread = (int)get_local_id(1)*32 + (int)get_local_id(0);
  const int r_2 = (int)get_group_id(0);
  f32x4 x1[2];
  float f;
  f32x4 p[2];
  float f_1;
  f32x4 f_2;
  f32x4 f_3;
  #pragma unroll
  for (int c_2 = 0; c_2 < 2; c_2++) {
    f32x4 x2;
    if (R >= r_2*8 + warp + 1) x2 = *(const __global f32x4 *)(x + r_2*2048 + warp*256 + c_2*128 + lane*4);
    else EACH(v, 4) x2.v[v] = -INFINITY;
    EACH(v, 4) x1[c_2].v[v] = x2.v[v];
  }
  EACH(v, 4) f_2.v[v] = x1[0].v[v];
  #pragma unroll
  for (int q = 1; q < 2; q++) {
    EACH(v, 4) f_2.v[v] = max_f32(f_2.v[v], x1[q].v[v]);
  }
  const float t = max_f32(max_f32(f_2.v[0], f_2.v[2]), max_f32(f_2.v[1], f_2.v[3]));
  exchange[thread] = (int)float_bits(t);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t1 = bits_float(exchange[thread ^ 1]);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t2 = max_f32(t, t1);
  exchange[thread] = (int)float_bits(t2);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t3 = bits_float(exchange[thread ^ 2]);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t4 = max_f32(t2, t3);
  exchange[thread] = (int)float_bits(t4);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t5 = bits_float(exchange[thread ^ 4]);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t6 = max_f32(t4, t5);
  exchange[thread] = (int)float_bits(t6);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t7 = bits_float(exchange[thread ^ 8]);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t8 = max_f32(t6, t7);
  exchange[thread] = (int)float_bits(t8);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t9 = bits_float(exchange[thread ^ 16]);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  f = max_f32(t8, t9);
  #pragma unroll
  for (int c_4 = 0; c_4 < 2; c_4++) {
    EACH(v, 4) p[c_4].v[v] = exp(x1[c_4].v[v] - f);
  }
  EACH(v, 4) f_3.v[v] = p[0].v[v];
  #pragma unroll
  for (int q_1 = 1; q_1 < 2; q_1++) {
    EACH(v, 4) f_3.v[v] = f_3.v[v] + p[q_1].v[v];
  }
  const float t10 = f_3.v[0] + f_3.v[2] + (f_3.v[1] + f_3.v[3]);
  exchange[thread] = (int)float_bits(t10);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t11 = bits_float(exchange[thread ^ 1]);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t12 = t10 + t11;
  exchange[thread] = (int)float_bits(t12);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t13 = bits_float(exchange[thread ^ 2]);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t14 = t12 + t13;
  exchange[thread] = (int)float_bits(t14);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t15 = bits_float(exchange[thread ^ 4]);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t16 = t14 + t15;
  exchange[thread] = (int)float_bits(t16);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t17 = bits_float(exchange[thread ^ 8]);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t18 = t16 + t17;
  exchange[thread] = (int)float_bits(t18);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const float t19 = bits_float(exchange[thread ^ 16]);
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  f_1 = t18 + t19;
  #pragma unroll
  for (int c_6 = 0; c_6 < 2; c_6++) {
    f32x4 y2;
    EACH(v, 4) y2.v[v] = p[c_6].v[v]/f_1;
    if (R >= r_2*8 + warp + 1) *(__global f32x4 *)(y + r_2*2048 + warp*256 + c_6*128 + lane*4) = y2;
  }
}
