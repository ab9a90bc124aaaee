/* sched contract { loops = grid m/16 n/32, pipe k/32 depth 4, warp m/16 n/8; tile = mma.m16n8k16.f16.f32; x = shared cp.async swz(2, 3, 3); w = shared cp.async swz(2, 3, 3) } */
#define INF __int_as_float(0x7f800000)
#define NOT_A_NUMBER __int_as_float(0x7fc00000)
#define EACH(v, n) _Pragma("unroll") for (int v = 0; v < n; v++)
typedef struct __align__(8) { float v[2]; } f32x2;
static __device__ __forceinline__ int swz(int i, int bits, int from, int shift) { return i ^ ((i >> (from + shift) & ((1 << bits) - 1)) << from); }
static __device__ __forceinline__ unsigned shared_address(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }
static __device__ __forceinline__ void cp_async(void *to, const void *from, bool ok) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(shared_address(to)), "l"(from), "r"(ok ? 16 : 0) : "memory");
}
static __device__ __forceinline__ void ldmatrix_2(unsigned *r, const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(shared_address(row)) : "memory");
}
static __device__ __forceinline__ void ldmatrix_4(unsigned *r, const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
static __device__ __forceinline__ float max_f32(float a, float b) { float r; asm("max.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b)); return r; }
static __device__ __forceinline__ float bits_float(unsigned u) { return __uint_as_float(u); }
static __device__ __forceinline__ float from_f16(unsigned short h) { float x; asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h)); return x; }
static __device__ __forceinline__ unsigned short to_f16(float x) { unsigned short h; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x)); return h; }
static __device__ __forceinline__ float f16_round(float x) { return from_f16(to_f16(x)); }
typedef struct __align__(4) { unsigned short v[2]; } u16x2;

extern "C" __global__ void __launch_bounds__(128)
half_gemm_fa2f42b1(const unsigned short *x, const unsigned short *__restrict__ w, const float *__restrict__ b, unsigned short *y, int M)
{
  const int lane = (int)threadIdx.x;
  const int warp = (int)threadIdx.y;
  __shared__ __align__(128) unsigned char scratch[12288];
  unsigned short *const sx = (unsigned short *)(scratch + 0);
  unsigned short *const sw = (unsigned short *)(scratch + 4096);
  int block = (int)blockIdx.x;
  const int gn = block % 96;
  block /= 96;
  const int gm = block;
  f32x2 c[2];
  unsigned b1[2];
  unsigned a[4];
  #pragma unroll
  for (int r = 0; r < 2; r++) {
    EACH(v, 2) c[r].v[v] = 0.0f;
  }
  __syncthreads();
  #pragma unroll
  for (int p = 0; p < 3; p++) {
    {
      if (warp < 2) {
        cp_async(sx + swz(p*512 + (warp % 2)*256 + lane*8, 2, 3, 3), x + gm*12288 + (warp % 2)*6144 + lane*192 + p*32 - (lane % 4)*184, M >= gm*16 + (warp % 2)*8 + lane/4 + 1);
      }
      cp_async(sw + swz(p*1024 + warp*256 + lane*8, 2, 3, 3), w + gn*24576 + warp*6144 + lane*192 + p*32 - (lane % 4)*184, true);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  for (int t = 0; t < 24; t++) {
    const int r1 = (t + 3) % 4;
    asm volatile("cp.async.wait_group 2;" ::: "memory");
    __syncthreads();
    if (t < 21) {
      if (warp < 2) {
        cp_async(sx + swz(r1*512 + (warp % 2)*256 + lane*8, 2, 3, 3), x + gm*12288 + (warp % 2)*6144 + lane*192 + t*32 - (lane % 4)*184 + 96, M >= gm*16 + (warp % 2)*8 + lane/4 + 1);
      }
      cp_async(sw + swz(r1*1024 + warp*256 + lane*8, 2, 3, 3), w + gn*24576 + warp*6144 + lane*192 + t*32 - (lane % 4)*184 + 96, true);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
    #pragma unroll
    for (int s = 0; s < 2; s++) {
      ldmatrix_2(b1, sw + swz((t % 4)*1024 + warp*256 + (lane % 8)*31 + s*16 + lane % 16, 2, 3, 3));
      ldmatrix_4(a, sx + swz((t % 4)*512 + lane*32 + s*16 - lane/16*504, 2, 3, 3));
      asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                   : "+f"(c[0].v[0]), "+f"(c[0].v[1]), "+f"(c[1].v[0]), "+f"(c[1].v[1])
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b1[0]), "r"(b1[1]));
    }
  }
  const f32x2 b2 = *(const f32x2 *)(b + gn*32 + warp*8 + (lane % 4)*2);
  #pragma unroll
  for (int i_1 = 0; i_1 < 2; i_1++) {
    u16x2 y2;
    EACH(v, 2) y2.v[v] = to_f16(max_f32(c[i_1].v[v] + b2.v[v], 0.0f));
    if (M >= gm*16 + i_1*8 + lane/4 + 1) *(u16x2 *)(y + gm*49152 + i_1*24576 + lane*768 + gn*32 + warp*8 - (lane % 4)*766) = y2;
  }
}
