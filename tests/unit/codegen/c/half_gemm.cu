/* sched contract { loops = grid n/32 m/128, pipe k/64 depth 4, warp m/32 n/32; tile = mma.m16n8k16.f16.f32; x = shared cp.async swz(3, 3, 3); w = shared cp.async swz(3, 3, 3); epi = shared } */
#define INF __int_as_float(0x7f800000)
#define NOT_A_NUMBER __int_as_float(0x7fc00000)
#define EACH(v, n) _Pragma("unroll") for (int v = 0; v < n; v++)
typedef struct __align__(8) { float v[2]; } f32x2;
typedef struct __align__(16) { float v[8]; } f32x8;
static __device__ __forceinline__ int swz(int i, int bits, int from, int shift) { return i ^ ((i >> (from + shift) & ((1 << bits) - 1)) << from); }
static __device__ __forceinline__ unsigned shared_address(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }
static __device__ __forceinline__ void cp_async(void *to, const void *from, bool ok) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(shared_address(to)), "l"(from), "r"(ok ? 16 : 0) : "memory");
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
static __device__ __forceinline__ void ldmatrix_4(unsigned *r, const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
static __device__ __forceinline__ float max_f32(float a, float b) { float r; asm("max.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b)); return r; }
static __device__ __forceinline__ float bits_float(unsigned u) { return __uint_as_float(u); }
static __device__ __forceinline__ float from_f16(unsigned short h) { float x; asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h)); return x; }
static __device__ __forceinline__ unsigned short to_f16(float x) { unsigned short h; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x)); return h; }
static __device__ __forceinline__ float f16_round(float x) { return from_f16(to_f16(x)); }
typedef struct __align__(16) { unsigned short v[8]; } u16x8;

extern "C" __global__ void __launch_bounds__(128)
half_gemm_8ab61304(const unsigned short *x, const unsigned short *__restrict__ w, const float *__restrict__ b, unsigned short *y, int M)
{
  const int lane = (int)threadIdx.x;
  const int warp = (int)threadIdx.y;
  extern __shared__ __align__(128) unsigned char scratch[];
  unsigned short *const sx = (unsigned short *)(scratch + 0);
  unsigned short *const sw = (unsigned short *)(scratch + 65536);
  float *const e = (float *)(scratch + 0);
  int block = (int)blockIdx.x;
  const int q = (M + 127)/128;
  const int gm = block % q;
  block /= q;
  const int gn = block;
  f32x2 c[16];
  f32x8 e1[4];
  unsigned b1[8];
  unsigned a[4];
  #pragma unroll
  for (int r = 0; r < 16; r++) {
    EACH(v, 2) c[r].v[v] = 0.0f;
  }
  __syncthreads();
  #pragma unroll
  for (int p = 0; p < 3; p++) {
    {
      #pragma unroll
      for (int j = 0; j < 2; j++) {
        cp_async(sw + swz(p*2048 + warp*512 + j*256 + lane*8, 3, 3, 3), w + gn*24576 + warp*6144 + j*3072 + lane*96 + p*64 - (lane % 8)*88, true);
      }
    }
  }
  wait_for_earlier_kernels();
  start_next_kernel();
  #pragma unroll
  for (int p_1 = 0; p_1 < 3; p_1++) {
    {
      #pragma unroll
      for (int i = 0; i < 8; i++) {
        cp_async(sx + swz(p_1*8192 + warp*2048 + i*256 + lane*8, 3, 3, 3), x + gm*98304 + warp*24576 + i*3072 + lane*96 + p_1*64 - (lane % 8)*88, M >= gm*128 + warp*32 + i*4 + lane/8 + 1);
      }
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  for (int t = 0; t < 12; t++) {
    const int r1 = (t + 3) % 4;
    asm volatile("cp.async.wait_group 2;" ::: "memory");
    __syncthreads();
    #pragma unroll
    for (int s = 0; s < 4; s++) {
      #pragma unroll
      for (int j_1 = 0; j_1 < 2; j_1++) {
        ldmatrix_4(b1 + j_1*4, sw + swz((t % 4)*2048 + j_1*1024 + (lane % 8)*63 + lane*32 + s*16 - (lane % 16)*31, 3, 3, 3));
      }
      #pragma unroll
      for (int i_1 = 0; i_1 < 2; i_1++) {
        ldmatrix_4(a, sx + swz((t % 4)*8192 + warp*2048 + i_1*1024 + lane*64 + s*16 - lane/16*1016, 3, 3, 3));
        #pragma unroll
        for (int j_1 = 0; j_1 < 4; j_1++) {
          asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                       : "+f"(c[i_1*8 + j_1*2].v[0]), "+f"(c[i_1*8 + j_1*2].v[1]), "+f"(c[i_1*8 + j_1*2 + 1].v[0]), "+f"(c[i_1*8 + j_1*2 + 1].v[1])
                       : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b1[j_1*2]), "r"(b1[j_1*2 + 1]));
        }
      }
    }
    if (t < 9) {
      #pragma unroll
      for (int i_3 = 0; i_3 < 8; i_3++) {
        cp_async(sx + swz(r1*8192 + warp*2048 + i_3*256 + lane*8, 3, 3, 3), x + gm*98304 + warp*24576 + i_3*3072 + lane*96 + t*64 - (lane % 8)*88 + 192, M >= gm*128 + warp*32 + i_3*4 + lane/8 + 1);
      }
      #pragma unroll
      for (int j_2 = 0; j_2 < 2; j_2++) {
        cp_async(sw + swz(r1*2048 + warp*512 + j_2*256 + lane*8, 3, 3, 3), w + gn*24576 + warp*6144 + j_2*3072 + lane*96 + t*64 - (lane % 8)*88 + 192, true);
      }
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  __syncthreads();
  #pragma unroll
  for (int i_4 = 0; i_4 < 2; i_4++) {
    #pragma unroll
    for (int i_5 = 0; i_5 < 2; i_5++) {
      #pragma unroll
      for (int j_3 = 0; j_3 < 4; j_3++) {
        f32x2 e2;
        EACH(v, 2) e2.v[v] = c[i_4*8 + j_3*2 + i_5].v[v];
        *(f32x2 *)(e + swz(warp*1024 + i_4*512 + i_5*256 + lane*8 + j_3*8 - (lane % 4)*6, 2, 3, 4)) = e2;
      }
    }
  }
  __syncthreads();
  #pragma unroll
  for (int i_6 = 0; i_6 < 4; i_6++) {
    const f32x8 e3 = *(const f32x8 *)(e + swz(warp*1024 + i_6*256 + lane*8, 2, 3, 4));
    EACH(v, 8) e1[i_6].v[v] = e3.v[v];
  }
  const f32x8 b2 = *(const f32x8 *)(b + gn*32 + (lane % 4)*8);
  #pragma unroll
  for (int i_7 = 0; i_7 < 4; i_7++) {
    u16x8 y2;
    EACH(v, 8) y2.v[v] = to_f16(max_f32(e1[i_7].v[v] + b2.v[v], 0.0f));
    if (M >= gm*128 + warp*32 + i_7*8 + lane/4 + 1) *(u16x8 *)(y + gm*393216 + warp*98304 + i_7*24576 + lane*768 + gn*32 - (lane % 4)*760) = y2;
  }
}
