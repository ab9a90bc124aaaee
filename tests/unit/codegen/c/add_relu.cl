/* sched map { loops = grid e/2048, warp e/256, lane e/8; tile = v4 } */
#pragma OPENCL FP_CONTRACT OFF
#define EACH(v, n) _Pragma("unroll") for (int v = 0; v < n; v++)
typedef struct { float v[4]; } __attribute__((aligned(16))) f32x4;
static inline float max_f32(float a, float b) { return a > b || a != a ? a : b; }

__kernel __attribute__((reqd_work_group_size(32, 8, 1))) void
add_relu_1b076d1b(const __global float *x, const __global float *restrict b, __global float *y, int R)
{
  const int lane = (int)get_local_id(0);
  const int warp = (int)get_local_id(1);
  const int e = (int)get_group_id(0);
  const int r = (e*2 + warp) % 3;
  if (R*768 >= e*2048 + warp*256 + lane*8 + 1) {
    const f32x4 x1 = *(const __global f32x4 *)(x + e*2048 + warp*256 + lane*8);
    const f32x4 b1 = *(const __global f32x4 *)(b + r*256 + lane*8);
    f32x4 y2;
    EACH(v, 4) y2.v[v] = max_f32(x1.v[v] + b1.v[v], 0.0f);
    *(__global f32x4 *)(y + e*2048 + warp*256 + lane*8) = y2;
  }
  if (R*768 >= e*2048 + warp*256 + lane*8 + 5) {
    const f32x4 x2 = *(const __global f32x4 *)(x + e*2048 + warp*256 + lane*8 + 4);
    const f32x4 b2 = *(const __global f32x4 *)(b + r*256 + lane*8 + 4);
    f32x4 y3;
    EACH(v, 4) y3.v[v] = max_f32(x2.v[v] + b2.v[v], 0.0f);
    *(__global f32x4 *)(y + e*2048 + warp*256 + lane*8 + 4) = y3;
  }
}
