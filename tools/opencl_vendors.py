"""Where OpenCL's loader looks for drivers."""
import glob, os, shutil, subprocess


def nvidia_alone(folder):
    """{} or what the environment needs so that NVIDIA's OpenCL is found where it is installed, but not among the loader's platforms: it alone is taken. A list is made in folder."""
    libs = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True).stdout if shutil.which("ldconfig") else ""
    if "libnvidia-opencl.so.1" not in libs or "OCL_ICD_VENDORS" in os.environ or glob.glob("/etc/OpenCL/vendors/nvidia*.icd"):
        return {}
    icd = os.path.join(folder, "icd")
    os.makedirs(icd, exist_ok=True)
    with open(os.path.join(icd, "nvidia.icd"), "w") as f:
        f.write("libnvidia-opencl.so.1\n")
    return {"OCL_ICD_VENDORS": icd + "/"}
