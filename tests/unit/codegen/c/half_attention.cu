/* sched chain { loops = grid i/64 z/1, pipe j/64 depth 2, warp i/16; tile = mma.m16n8k16.f16.f32; k = shared cp.async; v = shared cp.async } */
#define INF __int_as_float(0x7f800000)
#define NOT_A_NUMBER __int_as_float(0x7fc00000)
#define EACH(v, n) _Pragma("unroll") for (int v = 0; v < n; v++)
typedef struct __align__(8) { float v[2]; } f32x2;
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
typedef struct __align__(4) { unsigned short v[2]; } u16x2;
static __device__ __forceinline__ unsigned short to_f16(float x) { unsigned short h; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x)); return h; }
static __device__ __forceinline__ float bits_float(unsigned u) { return __uint_as_float(u); }
static __device__ __forceinline__ float from_f16(unsigned short h) { float x; asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h)); return x; }
static __device__ __forceinline__ int min_i32(int a, int b) { return a < b || a != a ? a : b; }
static __device__ __forceinline__ int floordiv_i32(int a, int b) { return a/b - (a % b < 0); }
static __device__ __forceinline__ unsigned shared_address(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }
static __device__ __forceinline__ void cp_async(void *to, const void *from, bool ok) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(shared_address(to)), "l"(from), "r"(ok ? 16 : 0) : "memory");
}
static __device__ __forceinline__ void ldmatrix_4(unsigned *r, const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
static __device__ __forceinline__ float max_f32(float a, float b) { float r; asm("max.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b)); return r; }
static __device__ __forceinline__ float f16_round(float x) { return from_f16(to_f16(x)); }
static __device__ __forceinline__ unsigned pair_f16(float a, float b) { unsigned u; asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(u) : "f"(b), "f"(a)); return u; }
static __device__ __forceinline__ void ldmatrix_4t(unsigned *r, const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}

extern "C" __global__ void __launch_bounds__(128)
half_attention_92f011ff(const unsigned short *q, const unsigned short *k, const unsigned short *v1, unsigned short *y, int L)
{
  const int lane = (int)threadIdx.x;
  const int warp = (int)threadIdx.y;
  __shared__ __align__(128) unsigned char scratch[36864];
  unsigned short *const sk = (unsigned short *)(scratch + 0);
  unsigned short *const sv = (unsigned short *)(scratch + 18432);
  int block = (int)blockIdx.x;
  const int gz = block % 12;
  block /= 12;
  const int gi = block;
  const int q3 = (L + 63)/64;
  const int r = (L + 63) % 64;
  const int q4 = floordiv_i32(min_i32(L, q3*64 - gi*64) + 63, 64);
  unsigned q1[16];
  f32x2 o[16];
  float m[2];
  float l[2];
  f32x2 s[16];
  float n[2];
  float a[2];
  unsigned p[16];
  unsigned b[16];
  f32x2 f;
  f32x2 f_1;
  unsigned b_1[16];
  wait_for_earlier_kernels();
  start_next_kernel();
  #pragma unroll
  for (int d_1 = 0; d_1 < 4; d_1++) {
    #pragma unroll
    for (int d_2 = 0; d_2 < 2; d_2++) {
      #pragma unroll
      for (int i_1 = 0; i_1 < 2; i_1++) {
        u16x2 q2;
        if (warp*16 + i_1*8 + lane/4 < gi*64 + r + 1) q2 = *(const u16x2 *)(q + q3*4096 + warp*1024 + i_1*512 + L*gz*64 + lane*16 + d_1*16 + d_2*8 - gi*4096 - (lane % 4)*14 - 4096);
        else EACH(v, 2) q2.v[v] = to_f16(0.0f);
        q1[d_1*4 + d_2*2 + i_1] = q2.v[0] | (unsigned)q2.v[1] << 16;
      }
    }
  }
  #pragma unroll
  for (int r1 = 0; r1 < 16; r1++) {
    EACH(v, 2) o[r1].v[v] = 0.0f;
  }
  #pragma unroll
  for (int r_1 = 0; r_1 < 2; r_1++) {
    m[r_1] = -3.4028235e+38f;
  }
  #pragma unroll
  for (int r_2 = 0; r_2 < 2; r_2++) {
    l[r_2] = 0.0f;
  }
  __syncthreads();
  #pragma unroll
  for (int p1 = 0; p1 < 1; p1++) {
    if (q4 >= p1 + 1) {
      #pragma unroll
      for (int j_1 = 0; j_1 < 4; j_1++) {
        cp_async(sk + p1*4608 + warp*1152 + j_1*288 + lane*9 - lane % 8, k + p1*4096 + warp*1024 + j_1*256 + L*gz*64 + lane*8, L >= p1*64 + warp*16 + j_1*4 + lane/8 + 1);
      }
      #pragma unroll
      for (int j_2 = 0; j_2 < 4; j_2++) {
        cp_async(sv + p1*4608 + warp*1152 + j_2*288 + lane*9 - lane % 8, v1 + p1*4096 + warp*1024 + j_2*256 + L*gz*64 + lane*8, L >= p1*64 + warp*16 + j_2*4 + lane/8 + 1);
      }
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  for (int t = 0; t < q4; t++) {
    const int r2 = (t + 1) % 2;
    asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncthreads();
    if (q4 >= t + 2) {
      #pragma unroll
      for (int j_3 = 0; j_3 < 4; j_3++) {
        cp_async(sk + r2*4608 + warp*1152 + j_3*288 + lane*9 - lane % 8, k + t*4096 + warp*1024 + j_3*256 + L*gz*64 + lane*8 + 4096, L >= t*64 + warp*16 + j_3*4 + lane/8 + 65);
      }
      #pragma unroll
      for (int j_4 = 0; j_4 < 4; j_4++) {
        cp_async(sv + r2*4608 + warp*1152 + j_4*288 + lane*9 - lane % 8, v1 + t*4096 + warp*1024 + j_4*256 + L*gz*64 + lane*8 + 4096, L >= t*64 + warp*16 + j_4*4 + lane/8 + 65);
      }
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
    #pragma unroll
    for (int r_3 = 0; r_3 < 16; r_3++) {
      EACH(v, 2) s[r_3].v[v] = 0.0f;
    }
    #pragma unroll
    for (int s1 = 0; s1 < 4; s1++) {
      #pragma unroll
      for (int j_5 = 0; j_5 < 4; j_5++) {
        ldmatrix_4(b + j_5*4, sk + (t % 2)*4608 + j_5*1152 + (lane % 8)*71 + lane*36 + s1*16 - (lane % 16)*35);
      }
      #pragma unroll
      for (int j_5 = 0; j_5 < 8; j_5++) {
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(s[j_5*2].v[0]), "+f"(s[j_5*2].v[1]), "+f"(s[j_5*2 + 1].v[0]), "+f"(s[j_5*2 + 1].v[1])
                     : "r"(q1[s1*4]), "r"(q1[s1*4 + 1]), "r"(q1[s1*4 + 2]), "r"(q1[s1*4 + 3]), "r"(b[j_5*2]), "r"(b[j_5*2 + 1]));
      }
    }
    if (q3*64 >= gi*64 + t*64 + 127 && L >= t*64 + 64) {
      #pragma unroll
      for (int j_6 = 0; j_6 < 8; j_6++) {
        #pragma unroll
        for (int i_2 = 0; i_2 < 2; i_2++) {
          EACH(v, 2) s[j_6*2 + i_2].v[v] = 0.125f*s[j_6*2 + i_2].v[v];
        }
      }
    } else {
      #pragma unroll
      for (int j_7 = 0; j_7 < 8; j_7++) {
        #pragma unroll
        for (int i_3 = 0; i_3 < 2; i_3++) {
          f32x2 t1;
          EACH(v, 2) t1.v[v] = q3*64 + warp*16 + lane/4*9 + i_3*8 >= gi*64 + t*64 + j_7*8 + lane*2 + v + 64 ? 0.125f*s[j_7*2 + i_3].v[v] : -INF;
          EACH(v, 2) s[j_7*2 + i_3].v[v] = L >= t*64 + j_7*8 + (lane % 4)*2 + v + 1 ? t1.v[v] : -INF;
        }
      }
    }
    #pragma unroll
    for (int i_4 = 0; i_4 < 2; i_4++) {
      EACH(v, 2) f.v[v] = s[i_4].v[v];
      #pragma unroll
      for (int q5 = 1; q5 < 8; q5++) {
        EACH(v, 2) f.v[v] = max_f32(f.v[v], s[q5*2 + i_4].v[v]);
      }
      const float t2 = max_f32(f.v[0], f.v[1]);
      const float t3 = __shfl_xor_sync(0xffffffffu, t2, 1);
      const float t4 = max_f32(t2, t3);
      const float t5 = __shfl_xor_sync(0xffffffffu, t4, 2);
      n[i_4] = max_f32(t4, t5);
    }
    #pragma unroll
    for (int i_5 = 0; i_5 < 2; i_5++) {
      n[i_5] = max_f32(n[i_5], m[i_5]);
    }
    #pragma unroll
    for (int j_9 = 0; j_9 < 8; j_9++) {
      #pragma unroll
      for (int i_6 = 0; i_6 < 2; i_6++) {
        EACH(v, 2) s[j_9*2 + i_6].v[v] = expf(s[j_9*2 + i_6].v[v] - n[i_6]);
      }
    }
    #pragma unroll
    for (int i_7 = 0; i_7 < 2; i_7++) {
      a[i_7] = expf(m[i_7] - n[i_7]);
    }
    #pragma unroll
    for (int i_8 = 0; i_8 < 2; i_8++) {
      m[i_8] = n[i_8];
    }
    #pragma unroll
    for (int i_9 = 0; i_9 < 2; i_9++) {
      EACH(v, 2) f_1.v[v] = s[i_9].v[v];
      #pragma unroll
      for (int q_1 = 1; q_1 < 8; q_1++) {
        EACH(v, 2) f_1.v[v] = f_1.v[v] + s[q_1*2 + i_9].v[v];
      }
      const float t6 = f_1.v[0] + f_1.v[1];
      const float t7 = __shfl_xor_sync(0xffffffffu, t6, 1);
      const float t8 = t6 + t7;
      const float t9 = __shfl_xor_sync(0xffffffffu, t8, 2);
      n[i_9] = t8 + t9;
    }
    #pragma unroll
    for (int i_10 = 0; i_10 < 2; i_10++) {
      l[i_10] = l[i_10]*a[i_10] + n[i_10];
    }
    #pragma unroll
    for (int e = 0; e < 8; e++) {
      #pragma unroll
      for (int i_11 = 0; i_11 < 2; i_11++) {
        EACH(v, 2) o[e*2 + i_11].v[v] = o[e*2 + i_11].v[v]*a[i_11];
      }
    }
    #pragma unroll
    for (int j_11 = 0; j_11 < 8; j_11++) {
      #pragma unroll
      for (int i_12 = 0; i_12 < 2; i_12++) {
        p[j_11*2 + i_12] = pair_f16(s[j_11*2 + i_12].v[0], s[j_11*2 + i_12].v[1]);
      }
    }
    #pragma unroll
    for (int s_1 = 0; s_1 < 4; s_1++) {
      #pragma unroll
      for (int e_1 = 0; e_1 < 4; e_1++) {
        ldmatrix_4t(b_1 + e_1*4, sv + (t % 2)*4608 + s_1*1152 + lane*72 + e_1*16 - lane/16*1144);
      }
      #pragma unroll
      for (int e_1 = 0; e_1 < 8; e_1++) {
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(o[e_1*2].v[0]), "+f"(o[e_1*2].v[1]), "+f"(o[e_1*2 + 1].v[0]), "+f"(o[e_1*2 + 1].v[1])
                     : "r"(p[s_1*4]), "r"(p[s_1*4 + 1]), "r"(p[s_1*4 + 2]), "r"(p[s_1*4 + 3]), "r"(b_1[e_1*2]), "r"(b_1[e_1*2 + 1]));
      }
    }
  }
  #pragma unroll
  for (int i_13 = 0; i_13 < 2; i_13++) {
    l[i_13] = l[i_13] == 0.0f ? NOT_A_NUMBER : l[i_13];
  }
  #pragma unroll
  for (int e_2 = 0; e_2 < 8; e_2++) {
    #pragma unroll
    for (int i_14 = 0; i_14 < 2; i_14++) {
      u16x2 y2;
      EACH(v, 2) y2.v[v] = to_f16((l[i_14] != l[i_14] ? l[i_14] : o[e_2*2 + i_14].v[v])/l[i_14]);
      if (warp*16 + i_14*8 + lane/4 < gi*64 + r + 1) *(u16x2 *)(y + q3*4096 + warp*1024 + i_14*512 + L*gz*64 + lane*16 + e_2*8 - gi*4096 - (lane % 4)*14 - 4096) = y2;
    }
  }
}
