/* sched block { loops = lane thread/256 } */
#pragma OPENCL FP_CONTRACT OFF
#define EACH(v, n) _Pragma("unroll") for (int v = 0; v < n; v++)
static inline float max_f32(float a, float b) { return a > b || a != a ? a : b; }

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
attention_c87cc6cb(const __global float *q, const __global float *k, const __global float *v1, __global float *y, int L)
{
  const int lane = (int)get_local_id(0);
  __local unsigned char scratch[3328] __attribute__((aligned(64)));
  __local float *const s = (__local float *)(scratch + 0);
  __local float *const o = (__local float *)(scratch + 2048);
  __local float *const tree = (__local float *)(scratch + 2304);
  int block = (int)get_group_id(0);
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
        acc = fma(q[L*z_1*64 + i_1*64 + d_1], k[e*16384 + L*z_1*64 + lane*64 + d_1], acc);
      }
      s[e*256 + lane] = acc;
    }
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  acc_1 = -INFINITY;
  for (int j_1 = 0; j_1 < q1; j_1++) {
    if (L >= j_1*256 + lane + 1) {
      acc_1 = max_f32(acc_1, 0.125f*s[j_1*256 + lane]);
    }
  }
  tree[lane] = acc_1;
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (lane < 128) {
    tree[lane] = max_f32(tree[lane], tree[lane + 128]);
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (lane < 64) {
    tree[lane] = max_f32(tree[lane], tree[lane + 64]);
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (lane < 32) {
    tree[lane] = max_f32(tree[lane], tree[lane + 32]);
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (lane < 16) {
    tree[lane] = max_f32(tree[lane], tree[lane + 16]);
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (lane < 8) {
    tree[lane] = max_f32(tree[lane], tree[lane + 8]);
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (lane < 4) {
    tree[lane] = max_f32(tree[lane], tree[lane + 4]);
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (lane < 2) {
    tree[lane] = max_f32(tree[lane], tree[lane + 2]);
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (lane < 1) {
    tree[lane] = max_f32(tree[lane], tree[lane + 1]);
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  m = tree[0];
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  acc_2 = 0.0f;
  for (int j_2 = 0; j_2 < q1; j_2++) {
    if (L >= j_2*256 + lane + 1) {
      acc_2 = acc_2 + exp(0.125f*s[j_2*256 + lane] - m);
    }
  }
  tree[lane] = acc_2;
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (lane < 128) {
    tree[lane] = tree[lane] + tree[lane + 128];
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (lane < 64) {
    tree[lane] = tree[lane] + tree[lane + 64];
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (lane < 32) {
    tree[lane] = tree[lane] + tree[lane + 32];
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (lane < 16) {
    tree[lane] = tree[lane] + tree[lane + 16];
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (lane < 8) {
    tree[lane] = tree[lane] + tree[lane + 8];
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (lane < 4) {
    tree[lane] = tree[lane] + tree[lane + 4];
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (lane < 2) {
    tree[lane] = tree[lane] + tree[lane + 2];
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (lane < 1) {
    tree[lane] = tree[lane] + tree[lane + 1];
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  l = tree[0];
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  for (int d_2 = 0; d_2 < 64; d_2++) {
    acc_3 = 0.0f;
    for (int j_3 = 0; j_3 < q1; j_3++) {
      if (L >= j_3*256 + lane + 1) {
        acc_3 = fma(exp(0.125f*s[j_3*256 + lane] - m), v1[j_3*16384 + L*z_1*64 + lane*64 + d_2], acc_3);
      }
    }
    tree[lane] = acc_3;
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (lane < 128) {
      tree[lane] = tree[lane] + tree[lane + 128];
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (lane < 64) {
      tree[lane] = tree[lane] + tree[lane + 64];
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (lane < 32) {
      tree[lane] = tree[lane] + tree[lane + 32];
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (lane < 16) {
      tree[lane] = tree[lane] + tree[lane + 16];
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (lane < 8) {
      tree[lane] = tree[lane] + tree[lane + 8];
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (lane < 4) {
      tree[lane] = tree[lane] + tree[lane + 4];
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (lane < 2) {
      tree[lane] = tree[lane] + tree[lane + 2];
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (lane < 1) {
      tree[lane] = tree[lane] + tree[lane + 1];
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    const float tree1 = tree[0];
    if (lane < 1) {
      o[d_2] = tree1;
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  }
  for (int e_1 = 0; e_1 < 1; e_1++) {
    if (e_1*256 + lane < 64) {
      y[e_1*256 + L*z_1*64 + i_1*64 + lane] = o[e_1*256 + lane]/l;
    }
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
}
