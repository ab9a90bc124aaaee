/* sched contract { loops = grid n/1 h/2 w/8 o/32, pipe i/1 j/1 c/16 depth 3, lane o/2 h/1 w/2; tile = fma; x = shared cp.async; w = shared cp.async } */
#define INF __int_as_float(0x7f800000)
#define NOT_A_NUMBER __int_as_float(0x7fc00000)
#define EACH(v, n) _Pragma("unroll") for (int v = 0; v < n; v++)
static __device__ __forceinline__ unsigned shared_address(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }
static __device__ __forceinline__ void cp_async_4(void *to, const void *from, bool ok) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" :: "r"(shared_address(to)), "l"(from), "r"(ok ? 4 : 0) : "memory");
}
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

extern "C" __global__ void __launch_bounds__(128)
conv_19579d72(const float *x, const float *__restrict__ w, const float *__restrict__ b, float *y, int N)
{
  const int lane = (int)threadIdx.x;
  __shared__ __align__(128) unsigned char scratch[9216];
  float *const sx = (float *)(scratch + 0);
  float *const sw = (float *)(scratch + 3072);
  int block = (int)blockIdx.x;
  const int go = block % 2;
  block /= 2;
  const int gw = block % 7;
  block /= 7;
  const int gh = block % 28;
  block /= 28;
  const int gn = block;
  float c[4];
  float b1[2];
  #pragma unroll
  for (int r = 0; r < 4; r++) {
    c[r] = 0.0f;
  }
  __syncthreads();
  #pragma unroll
  for (int p = 0; p < 2; p++) {
    {
      #pragma unroll
      for (int k = 0; k < 4; k++) {
        cp_async_4(sw + p*512 + k*128 + lane, w + p*9216 + k*2304 + go*32 + lane*18 - (lane % 32)*17, true);
      }
    }
  }
  wait_for_earlier_kernels();
  start_next_kernel();
  #pragma unroll
  for (int p_1 = 0; p_1 < 2; p_1++) {
    {
      #pragma unroll
      for (int k_1 = 0; k_1 < 2; k_1++) {
        cp_async_4(sx + p_1*256 + k_1*128 + lane, x + gn*200704 + p_1*50176 + k_1*25088 + lane*196 + gh*112 + gw*8 - (lane % 16)*189 - (lane % 8)*6 - 57, gh*2 + lane/8 % 2 >= 1 && gw*8 + lane % 8 >= 1);
      }
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  for (int t = 0; t < 36; t++) {
    const int q = (t + 2)/12;
    const int q1 = (t + 2)/4;
    const int r1 = (t + 2) % 3;
    const int r2 = (t + 2) % 4;
    asm volatile("cp.async.wait_group 1;" ::: "memory");
    __syncthreads();
    if (t < 34) {
      #pragma unroll
      for (int k_2 = 0; k_2 < 2; k_2++) {
        cp_async_4(sx + r1*256 + k_2*128 + lane, x + gn*200704 + t*50176 + k_2*25088 + lane*196 + gh*112 + q*53 + gw*8 - q1*200703 - (lane % 16)*189 - (lane % 8)*6 + 100295, gh*2 + lane/8 % 2 + q >= 1 && gh*2 + lane/8 % 2 + q < 57 && gw*8 + lane % 8 + q1 % 3 >= 1 && gw*8 + lane % 8 + q1 % 3 < 57);
      }
      #pragma unroll
      for (int k_3 = 0; k_3 < 4; k_3++) {
        cp_async_4(sw + r1*512 + k_3*128 + lane, w + r2*9200 + k_3*2304 + go*32 + lane*18 + t*16 - (lane % 32)*17 + 32, true);
      }
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
    #pragma unroll
    for (int s = 0; s < 16; s++) {
      #pragma unroll
      for (int j_1 = 0; j_1 < 2; j_1++) {
        b1[j_1] = sw[(t % 3)*512 + s*32 + j_1*16 + lane/8];
      }
      #pragma unroll
      for (int i_1 = 0; i_1 < 2; i_1++) {
        const float sx1 = sx[(t % 3)*256 + s*16 + i_1*8 + lane % 8];
        #pragma unroll
        for (int j_1 = 0; j_1 < 2; j_1++) {
          c[i_1*2 + j_1] = fmaf(sx1, b1[j_1], c[i_1*2 + j_1]);
        }
      }
    }
  }
  #pragma unroll
  for (int i_2 = 0; i_2 < 2; i_2++) {
    #pragma unroll
    for (int j_2 = 0; j_2 < 2; j_2++) {
      y[gn*200704 + go*100352 + j_2*50176 + lane*392 + gh*112 + i_2*56 + gw*8 - (lane % 8)*391] = max_f32(c[i_2*2 + j_2] + b[go*32 + j_2*16 + lane/8], 0.0f);
    }
  }
}
