/* sched block { loops = lane thread/256 } */
#define INF __int_as_float(0x7f800000)
#define NOT_A_NUMBER __int_as_float(0x7fc00000)
#define EACH(v, n) _Pragma("unroll") for (int v = 0; v < n; v++)
static __device__ __forceinline__ float max_f32(float a, float b) { return a > b || a != a ? a : b; }

extern "C" __global__ void __launch_bounds__(256)
attention_709b1883(const float *q, const float *k, const float *v1, float *y, int L)
{
  const int lane = (int)threadIdx.x;
  __shared__ __align__(128) unsigned char scratch[3328];
  float *const s = (float *)(scratch + 0);
  float *const o = (float *)(scratch + 2048);
  float *const tree = (float *)(scratch + 2304);
  int block = (int)blockIdx.x;
  const int i_1 = block % L;
  block /= L;
  const int z_1 = block;
  const int q1 = (L + 255)/256;
  float m;
  float l;
  float acc;
  float acc_1;
  float acc_2;
  float acc_3;
  for (int e = 0; e < q1; e++) {
    if (L >= e*256 + lane + 1) {
      acc = 0.0f;
      for (int d_1 = 0; d_1 < 64; d_1++) {
        acc = fmaf(q[L*z_1*64 + i_1*64 + d_1], k[e*16384 + L*z_1*64 + lane*64 + d_1], acc);
      }
      s[e*256 + lane] = acc;
    }
  }
  __syncthreads();
  acc_1 = -INF;
  for (int j_1 = 0; j_1 < q1; j_1++) {
    if (L >= j_1*256 + lane + 1) {
      acc_1 = max_f32(acc_1, 0.125f*s[j_1*256 + lane]);
    }
  }
  tree[lane] = acc_1;
  __syncthreads();
  if (lane < 128) {
    tree[lane] = max_f32(tree[lane], tree[lane + 128]);
  }
  __syncthreads();
  if (lane < 64) {
    tree[lane] = max_f32(tree[lane], tree[lane + 64]);
  }
  __syncthreads();
  if (lane < 32) {
    tree[lane] = max_f32(tree[lane], tree[lane + 32]);
  }
  __syncthreads();
  if (lane < 16) {
    tree[lane] = max_f32(tree[lane], tree[lane + 16]);
  }
  __syncthreads();
  if (lane < 8) {
    tree[lane] = max_f32(tree[lane], tree[lane + 8]);
  }
  __syncthreads();
  if (lane < 4) {
    tree[lane] = max_f32(tree[lane], tree[lane + 4]);
  }
  __syncthreads();
  if (lane < 2) {
    tree[lane] = max_f32(tree[lane], tree[lane + 2]);
  }
  __syncthreads();
  if (lane < 1) {
    tree[lane] = max_f32(tree[lane], tree[lane + 1]);
  }
  __syncthreads();
  m = tree[0];
  __syncthreads();
  acc_2 = 0.0f;
  for (int j_2 = 0; j_2 < q1; j_2++) {
    if (L >= j_2*256 + lane + 1) {
      acc_2 = acc_2 + expf(0.125f*s[j_2*256 + lane] - m);
    }
  }
  tree[lane] = acc_2;
  __syncthreads();
  if (lane < 128) {
    tree[lane] = tree[lane] + tree[lane + 128];
  }
  __syncthreads();
  if (lane < 64) {
    tree[lane] = tree[lane] + tree[lane + 64];
  }
  __syncthreads();
  if (lane < 32) {
    tree[lane] = tree[lane] + tree[lane + 32];
  }
  __syncthreads();
  if (lane < 16) {
    tree[lane] = tree[lane] + tree[lane + 16];
  }
  __syncthreads();
  if (lane < 8) {
    tree[lane] = tree[lane] + tree[lane + 8];
  }
  __syncthreads();
  if (lane < 4) {
    tree[lane] = tree[lane] + tree[lane + 4];
  }
  __syncthreads();
  if (lane < 2) {
    tree[lane] = tree[lane] + tree[lane + 2];
  }
  __syncthreads();
  if (lane < 1) {
    tree[lane] = tree[lane] + tree[lane + 1];
  }
  __syncthreads();
  l = tree[0];
  __syncthreads();
  for (int d_2 = 0; d_2 < 64; d_2++) {
    acc_3 = 0.0f;
    for (int j_3 = 0; j_3 < q1; j_3++) {
      if (L >= j_3*256 + lane + 1) {
        acc_3 = fmaf(expf(0.125f*s[j_3*256 + lane] - m), v1[j_3*16384 + L*z_1*64 + lane*64 + d_2], acc_3);
      }
    }
    tree[lane] = acc_3;
    __syncthreads();
    if (lane < 128) {
      tree[lane] = tree[lane] + tree[lane + 128];
    }
    __syncthreads();
    if (lane < 64) {
      tree[lane] = tree[lane] + tree[lane + 64];
    }
    __syncthreads();
    if (lane < 32) {
      tree[lane] = tree[lane] + tree[lane + 32];
    }
    __syncthreads();
    if (lane < 16) {
      tree[lane] = tree[lane] + tree[lane + 16];
    }
    __syncthreads();
    if (lane < 8) {
      tree[lane] = tree[lane] + tree[lane + 8];
    }
    __syncthreads();
    if (lane < 4) {
      tree[lane] = tree[lane] + tree[lane + 4];
    }
    __syncthreads();
    if (lane < 2) {
      tree[lane] = tree[lane] + tree[lane + 2];
    }
    __syncthreads();
    if (lane < 1) {
      tree[lane] = tree[lane] + tree[lane + 1];
    }
    __syncthreads();
    const float tree1 = tree[0];
    if (lane < 1) {
      o[d_2] = tree1;
    }
    __syncthreads();
  }
  for (int e_1 = 0; e_1 < 1; e_1++) {
    if (e_1*256 + lane < 64) {
      y[e_1*256 + L*z_1*64 + i_1*64 + lane] = o[e_1*256 + lane]/l;
    }
  }
  __syncthreads();
}
