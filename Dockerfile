FROM condaforge/miniforge3:latest
LABEL io.github.snakemake.containerized="true"
LABEL io.github.snakemake.conda_env_hash="0e5358a9f383e7be39f207e125bda5fcae36e07cf77fc51fdde834fb20c1cd52"
# Conda environment:
#   source: envs/data.yaml
#   prefix: /conda-envs/0f72be3db2483a737ef32d32eff881a6
#   channels: [conda-forge, nodefaults]
#   dependencies:
#     - python=3.11
#     - numpy=2.4.6
#     - pyarrow=26.0.1
#     - requests=2.34.2
#     - safetensors=0.8.0
#     - scipy=1.17.1
#     - tqdm=4.70.1
#     - unearth=0.19.0
#     - urllib3=2.8.0
RUN mkdir -p /conda-envs/0f72be3db2483a737ef32d32eff881a6
COPY envs/data.yaml /conda-envs/0f72be3db2483a737ef32d32eff881a6/environment.yaml
# Conda environment:
#   source: envs/engines.yaml
#   prefix: /conda-envs/baf2210eb38ddbbd6ba8d01a1ae96a32
#   channels: [conda-forge, nodefaults]
#   dependencies:
#     - python=3.11
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
RUN mkdir -p /conda-envs/baf2210eb38ddbbd6ba8d01a1ae96a32
COPY envs/engines.yaml /conda-envs/baf2210eb38ddbbd6ba8d01a1ae96a32/environment.yaml
# Conda environment:
#   source: envs/lightgbm.yaml
#   prefix: /conda-envs/f719130177e4bcf24398bbb5edc0ce2e
#   channels: [conda-forge, nodefaults]
#   dependencies:
#     - python=3.11
#     - lightgbm=4.7.0
#     - numpy=2.4.6
#     - optuna=5.0.0
#     - safetensors=0.8.0
#     - tqdm=4.70.1
RUN mkdir -p /conda-envs/f719130177e4bcf24398bbb5edc0ce2e
COPY envs/lightgbm.yaml /conda-envs/f719130177e4bcf24398bbb5edc0ce2e/environment.yaml
# Conda environment:
#   source: envs/native.yaml
#   prefix: /conda-envs/5fe9cb2023da4d4c97d736fda6ca47af
#   channels: [conda-forge, nodefaults]
#   dependencies:
#     - python=3.11
#     - cmake=4.4.4
#     - cxx-compiler>=1.11.0 # whichever compiler there is
#     - ninja=1.13.2
#     - numpy=2.4.6
RUN mkdir -p /conda-envs/5fe9cb2023da4d4c97d736fda6ca47af
COPY envs/native.yaml /conda-envs/5fe9cb2023da4d4c97d736fda6ca47af/environment.yaml
# Conda environment:
#   source: envs/report.yaml
#   prefix: /conda-envs/f2f93199103d5e4924b5d41cff564c54
#   channels: [conda-forge, nodefaults]
#   dependencies:
#     - python=3.11
#     - jinja2=3.1.6
#     - matplotlib=3.11.2
#     - numpy=2.4.6
#     - pandas=3.1.1
#     - pyyaml=6.0.3
#     - scipy=1.17.1
#     - seaborn=0.13.2
RUN mkdir -p /conda-envs/f2f93199103d5e4924b5d41cff564c54
COPY envs/report.yaml /conda-envs/f2f93199103d5e4924b5d41cff564c54/environment.yaml
# Conda environment:
#   source: envs/torch.yaml
#   prefix: /conda-envs/627cfe3c6d40eae59e3af1b77edc91e1
#   channels: [conda-forge, nodefaults]
#   dependencies:
#     - python=3.11
#     - numpy=2.4.6
#     - safetensors=0.8.0
#     - pytorch=2.13.0
#     - tqdm=4.70.1
RUN mkdir -p /conda-envs/627cfe3c6d40eae59e3af1b77edc91e1
COPY envs/torch.yaml /conda-envs/627cfe3c6d40eae59e3af1b77edc91e1/environment.yaml

RUN conda env create --prefix /conda-envs/0f72be3db2483a737ef32d32eff881a6 --file /conda-envs/0f72be3db2483a737ef32d32eff881a6/environment.yaml && \
    conda env create --prefix /conda-envs/baf2210eb38ddbbd6ba8d01a1ae96a32 --file /conda-envs/baf2210eb38ddbbd6ba8d01a1ae96a32/environment.yaml && \
    conda env create --prefix /conda-envs/f719130177e4bcf24398bbb5edc0ce2e --file /conda-envs/f719130177e4bcf24398bbb5edc0ce2e/environment.yaml && \
    conda env create --prefix /conda-envs/5fe9cb2023da4d4c97d736fda6ca47af --file /conda-envs/5fe9cb2023da4d4c97d736fda6ca47af/environment.yaml && \
    conda env create --prefix /conda-envs/f2f93199103d5e4924b5d41cff564c54 --file /conda-envs/f2f93199103d5e4924b5d41cff564c54/environment.yaml && \
    conda env create --prefix /conda-envs/627cfe3c6d40eae59e3af1b77edc91e1 --file /conda-envs/627cfe3c6d40eae59e3af1b77edc91e1/environment.yaml && \
    conda clean --all -y
