FROM condaforge/miniforge3:latest
LABEL io.github.snakemake.containerized="true"
LABEL io.github.snakemake.conda_env_hash="56bb145d9e3464fb716abfde223ae74e38a9dc21e7520cfd335f6958a3509e3c"
# Conda environment:
#   source: envs/data.yaml
#   prefix: /conda-envs/34816517bfdd6c71e59e16d0cad881ad
#   channels: [conda-forge, nodefaults]
#   dependencies:
#     - python=3.11.*
#     - numpy=2.4.6
#     - pyarrow=26.0.1
#     - requests=2.34.2
#     - safetensors=0.8.0
#     - scipy=1.17.1
#     - tqdm=4.70.1
#     - unearth=0.19.0
#     - urllib3=2.8.0
RUN mkdir -p /conda-envs/34816517bfdd6c71e59e16d0cad881ad
COPY envs/data.yaml /conda-envs/34816517bfdd6c71e59e16d0cad881ad/environment.yaml
# Conda environment:
#   source: envs/engines.yaml
#   prefix: /conda-envs/b2c2e6ca23b4b3d12f642001334ec736
#   channels: [conda-forge, nodefaults]
#   dependencies:
#     - python=3.11.*
#     - lightgbm=4.7.0
#     - mkl=2026.2.0
#     - numpy=2.4.6
#     - onnx=1.23.2
#     - onnxruntime=1.32.0
#     - openvino=2026.4.1
#     - pandas=3.1.1
#     - pyyaml=6.0.3
#     - safetensors=0.8.0
#     - scipy=1.17.1
#     - threadpoolctl=3.8.0
#     - pytorch=2.13.0
#     - tqdm=4.70.1
#     - pip
#     - pip: # conda-forge has no ydf
#         - ydf==0.16.1
RUN mkdir -p /conda-envs/b2c2e6ca23b4b3d12f642001334ec736
COPY envs/engines.yaml /conda-envs/b2c2e6ca23b4b3d12f642001334ec736/environment.yaml
# Conda environment:
#   source: envs/lightgbm.yaml
#   prefix: /conda-envs/e5f931f90064b638fc1f1dbb7b104269
#   channels: [conda-forge, nodefaults]
#   dependencies:
#     - python=3.11.*
#     - lightgbm=4.7.0
#     - numpy=2.4.6
#     - optuna=5.0.0
#     - safetensors=0.8.0
#     - tqdm=4.70.1
RUN mkdir -p /conda-envs/e5f931f90064b638fc1f1dbb7b104269
COPY envs/lightgbm.yaml /conda-envs/e5f931f90064b638fc1f1dbb7b104269/environment.yaml
# Conda environment:
#   source: envs/native.yaml
#   prefix: /conda-envs/3e4e617a7785ee2c9ef9213e0e2c3b9d
#   channels: [conda-forge, nodefaults]
#   dependencies:
#     - python=3.11.*
#     - cmake=4.4.4
#     - cxx-compiler>=1.11.0 # whichever compiler there is
#     - ninja=1.13.2
#     - numpy=2.4.6
#     - tqdm=4.70.1
RUN mkdir -p /conda-envs/3e4e617a7785ee2c9ef9213e0e2c3b9d
COPY envs/native.yaml /conda-envs/3e4e617a7785ee2c9ef9213e0e2c3b9d/environment.yaml
# Conda environment:
#   source: envs/report.yaml
#   prefix: /conda-envs/60209896b1f0ecdd3f050cd5b8a7c6f2
#   channels: [conda-forge, nodefaults]
#   dependencies:
#     - python=3.11.*
#     - jinja2=3.1.6
#     - matplotlib=3.11.2
#     - numpy=2.4.6
#     - pandas=3.1.1
#     - pyyaml=6.0.3
#     - scipy=1.17.1
#     - seaborn=0.13.2
#     - tqdm=4.70.1
RUN mkdir -p /conda-envs/60209896b1f0ecdd3f050cd5b8a7c6f2
COPY envs/report.yaml /conda-envs/60209896b1f0ecdd3f050cd5b8a7c6f2/environment.yaml
# Conda environment:
#   source: envs/torch.yaml
#   prefix: /conda-envs/ea1321062088fb492ff90fe4b5e87239
#   channels: [conda-forge, nodefaults]
#   dependencies:
#     - python=3.11.*
#     - numpy=2.4.6
#     - safetensors=0.8.0
#     - pytorch=2.13.0
#     - tqdm=4.70.1
RUN mkdir -p /conda-envs/ea1321062088fb492ff90fe4b5e87239
COPY envs/torch.yaml /conda-envs/ea1321062088fb492ff90fe4b5e87239/environment.yaml

RUN conda env create --prefix /conda-envs/34816517bfdd6c71e59e16d0cad881ad --file /conda-envs/34816517bfdd6c71e59e16d0cad881ad/environment.yaml && \
    conda env create --prefix /conda-envs/b2c2e6ca23b4b3d12f642001334ec736 --file /conda-envs/b2c2e6ca23b4b3d12f642001334ec736/environment.yaml && \
    conda env create --prefix /conda-envs/e5f931f90064b638fc1f1dbb7b104269 --file /conda-envs/e5f931f90064b638fc1f1dbb7b104269/environment.yaml && \
    conda env create --prefix /conda-envs/3e4e617a7785ee2c9ef9213e0e2c3b9d --file /conda-envs/3e4e617a7785ee2c9ef9213e0e2c3b9d/environment.yaml && \
    conda env create --prefix /conda-envs/60209896b1f0ecdd3f050cd5b8a7c6f2 --file /conda-envs/60209896b1f0ecdd3f050cd5b8a7c6f2/environment.yaml && \
    conda env create --prefix /conda-envs/ea1321062088fb492ff90fe4b5e87239 --file /conda-envs/ea1321062088fb492ff90fe4b5e87239/environment.yaml && \
    conda clean --all -y
