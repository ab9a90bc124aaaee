/* sched row { loops = grid r/8, warp r/1; tile = v4; hold = reg } */
#define INF __int_as_float(0x7f800000)
#define NOT_A_NUMBER __int_as_float(0x7fc00000)
#define EACH(v, n) _Pragma("unroll") for (int v = 0; v < n; v++)
typedef struct __align__(16) { float v[4]; } f32x4;
static __device__ __forceinline__ void wait_for_earlier_kernels() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
static __device__ __forceinline__ void start_next_kernel() {
#if __CUDA_ARCH__ >= 900
  if (gridDim.x <= 132) asm volatile("griddepcontrol.launch_dependents;");
#endif
}
static __device__ __forceinline__ float max_f32(float a, float b) { float r; asm("max.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b)); return r; }

extern "C" __global__ void __launch_bounds__(256)
softmax_76a7fd77(const float *x, float *y, int R)
{
  const int lane = (int)threadIdx.x;
  const int warp = (int)threadIdx.y;
  const int r_2 = (int)blockIdx.x;
  f32x4 x1[2];
  float f;
  f32x4 p[2];
  float f_1;
  f32x4 f_2;
  f32x4 f_3;
  wait_for_earlier_kernels();
  start_next_kernel();
  #pragma unroll
  for (int c_2 = 0; c_2 < 2; c_2++) {
    f32x4 x2;
    if (R >= r_2*8 + warp + 1) x2 = *(const f32x4 *)(x + r_2*2048 + warp*256 + c_2*128 + lane*4);
    else EACH(v, 4) x2.v[v] = -INF;
    EACH(v, 4) x1[c_2].v[v] = x2.v[v];
  }
  EACH(v, 4) f_2.v[v] = x1[0].v[v];
  #pragma unroll
  for (int q = 1; q < 2; q++) {
    EACH(v, 4) f_2.v[v] = max_f32(f_2.v[v], x1[q].v[v]);
  }
  const float t = max_f32(max_f32(f_2.v[0], f_2.v[2]), max_f32(f_2.v[1], f_2.v[3]));
  const float t1 = __shfl_xor_sync(0xffffffffu, t, 1);
  const float t2 = max_f32(t, t1);
  const float t3 = __shfl_xor_sync(0xffffffffu, t2, 2);
  const float t4 = max_f32(t2, t3);
  const float t5 = __shfl_xor_sync(0xffffffffu, t4, 4);
  const float t6 = max_f32(t4, t5);
  const float t7 = __shfl_xor_sync(0xffffffffu, t6, 8);
  const float t8 = max_f32(t6, t7);
  const float t9 = __shfl_xor_sync(0xffffffffu, t8, 16);
  f = max_f32(t8, t9);
  #pragma unroll
  for (int c_4 = 0; c_4 < 2; c_4++) {
    EACH(v, 4) p[c_4].v[v] = expf(x1[c_4].v[v] - f);
  }
  EACH(v, 4) f_3.v[v] = p[0].v[v];
  #pragma unroll
  for (int q_1 = 1; q_1 < 2; q_1++) {
    EACH(v, 4) f_3.v[v] = f_3.v[v] + p[q_1].v[v];
  }
  const float t10 = f_3.v[0] + f_3.v[2] + (f_3.v[1] + f_3.v[3]);
  const float t11 = __shfl_xor_sync(0xffffffffu, t10, 1);
  const float t12 = t10 + t11;
  const float t13 = __shfl_xor_sync(0xffffffffu, t12, 2);
  const float t14 = t12 + t13;
  const float t15 = __shfl_xor_sync(0xffffffffu, t14, 4);
  const float t16 = t14 + t15;
  const float t17 = __shfl_xor_sync(0xffffffffu, t16, 8);
  const float t18 = t16 + t17;
  const float t19 = __shfl_xor_sync(0xffffffffu, t18, 16);
  f_1 = t18 + t19;
  #pragma unroll
  for (int c_6 = 0; c_6 < 2; c_6++) {
    f32x4 y2;
    EACH(v, 4) y2.v[v] = p[c_6].v[v]/f_1;
    if (R >= r_2*8 + warp + 1) *(f32x4 *)(y + r_2*2048 + warp*256 + c_6*128 + lane*4) = y2;
  }
}
