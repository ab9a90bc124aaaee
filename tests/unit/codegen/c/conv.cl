/* sched contract { loops = grid n/1 h/4 w/8 o/32, pipe i/1 j/1 c/16 depth 1, lane o/2 h/1 w/4; tile = fma; x = shared sync; w = shared sync } */
#pragma OPENCL FP_CONTRACT OFF
#define EACH(v, n) _Pragma("unroll") for (int v = 0; v < n; v++)
static inline float max_f32(float a, float b) { return a > b || a != a ? a : b; }

__kernel __attribute__((reqd_work_group_size(128, 1, 1))) void
conv_44f66513(const __global float *x, const __global float *restrict w, const __global float *restrict b, __global float *y, int N)
{
  const int lane = (int)get_local_id(0);
  __local unsigned char scratch[4096] __attribute__((aligned(64)));
  __local float *const sx = (__local float *)(scratch + 0);
  __local float *const sw = (__local float *)(scratch + 2048);
  int block = (int)get_group_id(0);
  const int go = block % 2;
  block /= 2;
  const int gw = block % 7;
  block /= 7;
  const int gh = block % 14;
  block /= 14;
  const int gn = block;
  float c[8];
  float b1[2];
  #pragma unroll
  for (int r = 0; r < 8; r++) {
    c[r] = 0.0f;
  }
  for (int t = 0; t < 36; t++) {
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    #pragma unroll
    for (int k = 0; k < 4; k++) {
      const float x1 = gh*4 + lane/8 % 4 + t/12 >= 1 && gh*4 + lane/8 % 4 + t/12 < 57 && gw*8 + t/4 % 3 + lane % 8 >= 1 && gw*8 + t/4 % 3 + lane % 8 < 57 ? x[gn*200704 + t*50176 + k*12544 + gh*224 + lane*98 + t/12*53 + gw*8 - t/4*200703 - (lane % 32)*91 - (lane % 8)*6 - 57] : 0.0f;
      sx[k*128 + lane] = x1;
    }
    #pragma unroll
    for (int k_1 = 0; k_1 < 4; k_1++) {
      sw[k_1*128 + lane] = w[(t % 4)*9200 + k_1*2304 + go*32 + lane*18 + t*16 - (lane % 32)*17];
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    #pragma unroll
    for (int s = 0; s < 16; s++) {
      #pragma unroll
      for (int j_1 = 0; j_1 < 2; j_1++) {
        b1[j_1] = sw[s*32 + j_1*16 + lane/8];
      }
      #pragma unroll
      for (int i_1 = 0; i_1 < 4; i_1++) {
        const float sx1 = sx[s*32 + i_1*8 + lane % 8];
        #pragma unroll
        for (int j_1 = 0; j_1 < 2; j_1++) {
          c[i_1*2 + j_1] = fma(sx1, b1[j_1], c[i_1*2 + j_1]);
        }
      }
    }
  }
  #pragma unroll
  for (int i_2 = 0; i_2 < 4; i_2++) {
    #pragma unroll
    for (int j_2 = 0; j_2 < 2; j_2++) {
      y[gn*200704 + go*100352 + j_2*50176 + lane*392 + gh*224 + i_2*56 + gw*8 - (lane % 8)*391] = max_f32(c[i_2*2 + j_2] + b[go*32 + j_2*16 + lane/8], 0.0f);
    }
  }
}
