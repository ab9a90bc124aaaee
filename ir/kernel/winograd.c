/* Winograd's minimal filtering F(m x m, 3x3) in the form of Toom and Cook: a 3x3 kernel g and a square of m+2 inputs d to a side give m x m results
 *   Y = A^T [ (G g G^T) .* (B^T d B) ] A
 * so that a result costs (m+2)^2/m^2 multiplications instead of 9 (Lavin and Gray, "Fast algorithms for convolutional neural networks"). The points are 0, m others
 * and infinity; B^T has the coefficients of the products of (x - p) over the other points, A^T the powers, G what is left.
 *
 * F(2x2): plus and minus 1. F(4x4): 5/8 and 3/2 instead of the usual 1 and 2. F(3x3): 3/4, and 2 alone. Rounding grows with the size of the powers; these are exact in
 * binary, like all that B^T and A^T are made of, and halve the error (256 channels, float32, root of the mean square against the result's: direct sum and F(2x2) 3e-7,
 * F(3x3) 8e-7, F(4x4) 9e-7, with 1 and 2 it is 2e-6). */
#include "ir/kernel/kir.h"

static const double points[][4] = { [2] = { 1, -1 }, [3] = { 0.75, -0.75, 2 }, [4] = { 0.625, -0.625, 1.5, -1.5 } };
const double *kir_winograd_points(unsigned m) { return points[m]; }
double kir_winograd_worst(unsigned m)
{
  static const double worst[] = { [2] = 3.42, [3] = 15.7, [4] = 20.1 };
  return worst[m];
}

/* Row of G of point x: its powers over the product of the distances from the other points. */
static void g_row(unsigned m, double x, double row[3])
{
  double f = x == 0 ? 1 : x;                      /* the distance from 0; of 0 itself the others' alone */
  for (unsigned i = 0; i < m; i++)
    if (points[m][i] != x) f *= x - points[m][i];
  for (unsigned k = 0; k < 3; k++) row[k] = (k == 0 ? 1 : k == 1 ? x : x * x) / f;
}
void kir_winograd_matrix(unsigned m, double g[][3])
{
  g_row(m, 0, g[0]);
  for (unsigned i = 0; i < m; i++) g_row(m, points[m][i], g[i + 1]);
  g[m + 1][0] = g[m + 1][1] = 0;
  g[m + 1][2] = 1;
}
void kir_winograd_weight(unsigned m, double g[][3], const float w[9], float *out)
{
  double t[KIR_WINOGRAD_MAX + 2][3];
  unsigned n = m + 2;
  for (unsigned a = 0; a < n; a++)
    for (unsigned j = 0; j < 3; j++) t[a][j] = g[a][0] * w[j] + g[a][1] * w[3 + j] + g[a][2] * w[6 + j];
  for (unsigned a = 0; a < n; a++)
    for (unsigned b = 0; b < n; b++) out[a * n + b] = (float)(t[a][0] * g[b][0] + t[a][1] * g[b][1] + t[a][2] * g[b][2]);
}
