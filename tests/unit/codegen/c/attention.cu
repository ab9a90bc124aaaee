/* sched chain { loops = grid z/1 i/64, pipe j/64 depth 2, warp i/16, lane i/4, lane j/8; tile = fma; k = shared cp.async; v = shared cp.async } */
#define INF __int_as_float(0x7f800000)
#define NOT_A_NUMBER __int_as_float(0x7fc00000)
#define EACH(v, n) _Pragma("unroll") for (int v = 0; v < n; v++)
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
typedef struct __align__(16) { float v[4]; } f32x4;
static __device__ __forceinline__ unsigned shared_address(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }
static __device__ __forceinline__ void cp_async(void *to, const void *from, bool ok) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(shared_address(to)), "l"(from), "r"(ok ? 16 : 0) : "memory");
}
static __device__ __forceinline__ float max_f32(float a, float b) { float r; asm("max.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b)); return r; }

extern "C" __global__ void __launch_bounds__(128)
attention_6b6d1ab1(const float *q, const float *k, const float *v1, float *y, int L)
{
  const int lane = (int)threadIdx.x;
  const int warp = (int)threadIdx.y;
  extern __shared__ __align__(128) unsigned char scratch[];
  float *const sk = (float *)(scratch + 0);
  float *const sv = (float *)(scratch + 34816);
  float *const sq = (float *)(scratch + 69632);
  float *const sp = (float *)(scratch + 88064);
  int block = (int)blockIdx.x;
  const int q1 = (L + 63)/64;
  const int gi = block % q1;
  block /= q1;
  const int gz = block;
  float o[32];
  float m[4];
  float l[4];
  float s[32];
  float n[4];
  float a[4];
  float b[8];
  float f;
  float f_1;
  float b_1[8];
  wait_for_earlier_kernels();
  start_next_kernel();
  #pragma unroll
  for (int i_1 = 0; i_1 < 8; i_1++) {
    f32x4 q2;
    if (L >= gi*64 + warp*16 + i_1*2 + lane/16 + 1) q2 = *(const f32x4 *)(q + gi*4096 + warp*1024 + i_1*128 + L*gz*64 + lane*4);
    else EACH(v, 4) q2.v[v] = 0.0f;
    *(f32x4 *)(sq + warp*1152 + i_1*144 + lane/16*8 + lane*4) = q2;
  }
  #pragma unroll
  for (int r = 0; r < 32; r++) {
    o[r] = 0.0f;
  }
  #pragma unroll
  for (int r_1 = 0; r_1 < 4; r_1++) {
    m[r_1] = -3.4028235e+38f;
  }
  #pragma unroll
  for (int r_2 = 0; r_2 < 4; r_2++) {
    l[r_2] = 0.0f;
  }
  __syncthreads();
  #pragma unroll
  for (int p = 0; p < 1; p++) {
    {
      #pragma unroll
      for (int j_1 = 0; j_1 < 8; j_1++) {
        cp_async(sk + p*4352 + warp*1088 + j_1*136 + lane*4 + lane/16*4, k + p*4096 + warp*1024 + j_1*128 + L*gz*64 + lane*4, L >= p*64 + warp*16 + j_1*2 + lane/16 + 1);
      }
      #pragma unroll
      for (int j_2 = 0; j_2 < 8; j_2++) {
        cp_async(sv + p*4352 + warp*1088 + j_2*136 + lane*4 + lane/16*4, v1 + p*4096 + warp*1024 + j_2*128 + L*gz*64 + lane*4, L >= p*64 + warp*16 + j_2*2 + lane/16 + 1);
      }
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  for (int t = 0; t < q1; t++) {
    const int r1 = (t + 1) % 2;
    asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncthreads();
    if (q1 >= t + 2) {
      #pragma unroll
      for (int j_3 = 0; j_3 < 8; j_3++) {
        cp_async(sk + r1*4352 + warp*1088 + j_3*136 + lane*4 + lane/16*4, k + t*4096 + warp*1024 + j_3*128 + L*gz*64 + lane*4 + 4096, L >= t*64 + warp*16 + j_3*2 + lane/16 + 65);
      }
      #pragma unroll
      for (int j_4 = 0; j_4 < 8; j_4++) {
        cp_async(sv + r1*4352 + warp*1088 + j_4*136 + lane*4 + lane/16*4, v1 + t*4096 + warp*1024 + j_4*128 + L*gz*64 + lane*4 + 4096, L >= t*64 + warp*16 + j_4*2 + lane/16 + 65);
      }
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
    #pragma unroll
    for (int r_3 = 0; r_3 < 32; r_3++) {
      s[r_3] = 0.0f;
    }
    for (int k1 = 0; k1 < 8; k1++) {
      #pragma unroll
      for (int s1 = 0; s1 < 8; s1++) {
        #pragma unroll
        for (int j_5 = 0; j_5 < 8; j_5++) {
          b[j_5] = sk[(t % 2)*4352 + j_5*544 + (lane % 8)*68 + k1*8 + s1];
        }
        #pragma unroll
        for (int i_2 = 0; i_2 < 4; i_2++) {
          const float sq1 = sq[warp*1152 + i_2*288 + lane/8*72 + k1*8 + s1];
          #pragma unroll
          for (int j_5 = 0; j_5 < 8; j_5++) {
            s[i_2*8 + j_5] = fmaf(sq1, b[j_5], s[i_2*8 + j_5]);
          }
        }
      }
    }
    if (L >= t*64 + 64) {
      #pragma unroll
      for (int i_3 = 0; i_3 < 4; i_3++) {
        #pragma unroll
        for (int j_6 = 0; j_6 < 8; j_6++) {
          s[i_3*8 + j_6] = 0.125f*s[i_3*8 + j_6];
        }
      }
    } else {
      #pragma unroll
      for (int i_4 = 0; i_4 < 4; i_4++) {
        #pragma unroll
        for (int j_7 = 0; j_7 < 8; j_7++) {
          s[i_4*8 + j_7] = L >= t*64 + j_7*8 + lane % 8 + 1 ? 0.125f*s[i_4*8 + j_7] : -INF;
        }
      }
    }
    #pragma unroll
    for (int i_5 = 0; i_5 < 4; i_5++) {
      f = s[i_5*8];
      #pragma unroll
      for (int q3 = 1; q3 < 8; q3++) {
        f = max_f32(f, s[i_5*8 + q3]);
      }
      const float f1 = f;
      const float t1 = __shfl_xor_sync(0xffffffffu, f1, 1);
      const float t2 = max_f32(f1, t1);
      const float t3 = __shfl_xor_sync(0xffffffffu, t2, 2);
      const float t4 = max_f32(t2, t3);
      const float t5 = __shfl_xor_sync(0xffffffffu, t4, 4);
      n[i_5] = max_f32(t4, t5);
    }
    #pragma unroll
    for (int i_6 = 0; i_6 < 4; i_6++) {
      n[i_6] = max_f32(n[i_6], m[i_6]);
    }
    #pragma unroll
    for (int i_7 = 0; i_7 < 4; i_7++) {
      #pragma unroll
      for (int j_9 = 0; j_9 < 8; j_9++) {
        s[i_7*8 + j_9] = expf(s[i_7*8 + j_9] - n[i_7]);
      }
    }
    #pragma unroll
    for (int i_8 = 0; i_8 < 4; i_8++) {
      a[i_8] = expf(m[i_8] - n[i_8]);
    }
    #pragma unroll
    for (int i_9 = 0; i_9 < 4; i_9++) {
      m[i_9] = n[i_9];
    }
    #pragma unroll
    for (int i_10 = 0; i_10 < 4; i_10++) {
      f_1 = s[i_10*8];
      #pragma unroll
      for (int q_1 = 1; q_1 < 8; q_1++) {
        f_1 = f_1 + s[i_10*8 + q_1];
      }
      const float f_1_1 = f_1;
      const float t6 = __shfl_xor_sync(0xffffffffu, f_1_1, 1);
      const float t7 = f_1_1 + t6;
      const float t8 = __shfl_xor_sync(0xffffffffu, t7, 2);
      const float t9 = t7 + t8;
      const float t10 = __shfl_xor_sync(0xffffffffu, t9, 4);
      n[i_10] = t9 + t10;
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
      for (int j_11 = 0; j_11 < 8; j_11++) {
        sp[warp*1152 + i_13*288 + lane*9 + j_11*8 - (lane % 8)*8] = s[i_13*8 + j_11];
      }
    }
    __syncthreads();
    for (int k_1 = 0; k_1 < 8; k_1++) {
      #pragma unroll
      for (int s_1 = 0; s_1 < 8; s_1++) {
        #pragma unroll
        for (int e_1 = 0; e_1 < 8; e_1++) {
          b_1[e_1] = sv[(t % 2)*4352 + k_1*544 + s_1*68 + e_1*8 + lane % 8];
        }
        #pragma unroll
        for (int i_14 = 0; i_14 < 4; i_14++) {
          const float sp1 = sp[warp*1152 + i_14*288 + lane/8*72 + k_1*8 + s_1];
          #pragma unroll
          for (int e_1 = 0; e_1 < 8; e_1++) {
            o[i_14*8 + e_1] = fmaf(sp1, b_1[e_1], o[i_14*8 + e_1]);
          }
        }
      }
    }
  }
  #pragma unroll
  for (int i_15 = 0; i_15 < 4; i_15++) {
    l[i_15] = l[i_15] == 0.0f ? NOT_A_NUMBER : l[i_15];
  }
  #pragma unroll
  for (int i_16 = 0; i_16 < 4; i_16++) {
    #pragma unroll
    for (int e_2 = 0; e_2 < 8; e_2++) {
      if (L >= gi*64 + warp*16 + i_16*4 + lane/8 + 1) y[gi*4096 + warp*1024 + i_16*256 + L*gz*64 + lane*8 + e_2*8 - (lane % 8)*7] = (l[i_16] != l[i_16] ? l[i_16] : o[i_16*8 + e_2])/l[i_16];
    }
  }
}
